//! Waiting for the GPU without owning an executor.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Gpu;

/// A value that a driver's callback will deliver.
#[derive(Debug)]
pub(super) struct Signal<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T: Send + 'static> Signal<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { value: None, waker: None })))
    }

    /// What the callback calls.
    pub(super) fn sender(&self) -> impl FnOnce(T) + Send + 'static {
        let sender = Self(Arc::clone(&self.0));
        move |value| {
            let mut state = sender.state();
            state.value = Some(value);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    /// Waits for the value, or for the reason why none will come.
    pub(super) fn wait(self, gpu: &Gpu) -> impl Future<Output = Result<T, String>> {
        Waiting { gpu, signal: self }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self, waker: &Waker) -> Option<T> {
        let mut state = self.state();
        state.waker = Some(waker.clone());
        state.value.take()
    }
}

struct Waiting<'a, T> {
    gpu: &'a Gpu,
    signal: Signal<T>,
}

impl<T: Send + 'static> Future for Waiting<'_, T> {
    type Output = Result<T, String>;

    /// Natively somebody has to poll the device: this does, and sleeps a little between two looks, so that an
    /// executor with other work, or a person who interrupts, is not held up. It never asks the device to wait:
    /// wgpu 30.0.1 panics when one thread waits for the newest submission while another submits.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        const NAP: Duration = Duration::from_micros(300);
        if let Some(value) = self.signal.take(context.waker()) {
            return Poll::Ready(Ok(value));
        }
        if cfg!(not(target_family = "wasm")) {
            if let Err(error) = self.gpu.device().poll(wgpu::PollType::Poll) {
                return Poll::Ready(Err(error.to_string()));
            }
            if let Some(value) = self.signal.take(context.waker()) {
                return Poll::Ready(Ok(value));
            }
            std::thread::sleep(NAP);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

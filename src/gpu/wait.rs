//! Futures that wait for the GPU on any executor.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::faults::Faults;

/// A value that a callback of wgpu will deliver.
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
    pub(super) async fn wait(self, device: &wgpu::Device, faults: &Faults) -> Result<T, String> {
        Waiting { device, faults, signal: self, sleep: FIRST_SLEEP }.await
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

/// How long a `poll` that finds no value sleeps at most. The public docs of what waits name this time.
const LONGEST_SLEEP: Duration = Duration::from_micros(300);
/// The first one sleeps so long, and each further one twice as long as the one before it: what the device does in no time
/// is not waited for longer than it takes.
const FIRST_SLEEP: Duration = Duration::from_micros(20);

struct Waiting<'a, T> {
    device: &'a wgpu::Device,
    faults: &'a Faults,
    signal: Signal<T>,
    /// How long the next `poll` sleeps.
    sleep: Duration,
}

impl<T: Send + 'static> Future for Waiting<'_, T> {
    type Output = Result<T, String>;

    /// Outside a browser wgpu calls back only while the device is polled. So this polls it, and sleeps when there is no
    /// value yet: that blocks the thread, but lets an executor run its other tasks, or the user interrupt, between two
    /// polls. It never asks the device to wait: wgpu 30.0.1 panics when one thread waits for the newest
    /// submission while another thread submits.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(value) = self.signal.take(context.waker()) {
            return Poll::Ready(Ok(value));
        }
        // No value comes from a lost device.
        if self.faults.lost().is_some() {
            return Poll::Ready(Err(String::new()));
        }
        if cfg!(not(target_family = "wasm")) {
            if let Err(reason) = poll(self.device, self.faults) {
                return Poll::Ready(Err(reason));
            }
            if let Some(value) = self.signal.take(context.waker()) {
                return Poll::Ready(Ok(value));
            }
            std::thread::sleep(self.sleep);
            self.sleep = (2 * self.sleep).min(LONGEST_SLEEP);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The value of a future that is ready at once, as error scopes are natively.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// How the message of wgpu's panic begins.
const LOST_WHILE_POLLED: &str = "Error in Device::poll";

/// Polls the device. If the driver reports only now that the device is lost, wgpu 30 panics. It has released all its
/// locks by then, so the panic can be caught.
pub(super) fn poll(device: &wgpu::Device, faults: &Faults) -> Result<(), String> {
    match panic::catch_unwind(AssertUnwindSafe(|| device.poll(wgpu::PollType::Poll))) {
        Ok(polled) => polled.map(|_| ()).map_err(|error| error.to_string()),
        Err(payload) if is_caught_panic(&*payload) => {
            // A host's device reports its loss to the host, not to this library.
            faults.lose(text(&*payload).lines().last().unwrap_or_default().trim());
            Err(String::new())
        }
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// Whether a panic with this payload is the one with which wgpu reports a lost device. This library catches it and
/// returns an [`crate::Error::Gpu`], so a program's panic hook may ignore it.
pub fn is_caught_panic(payload: &(dyn Any + Send)) -> bool {
    text(payload).starts_with(LOST_WHILE_POLLED)
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default()
}

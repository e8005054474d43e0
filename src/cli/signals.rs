//! Ctrl-C, SIGTERM, and SIGHUP of a terminal that is gone: the first lets the run save its picture and end. After it a second
//! Ctrl-C or SIGTERM ends it at once.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Failure, Result};

/// By convention a program that a signal ended exits with this plus the signal's number.
const EXIT_BASE: i32 = 128;

/// The signals that end a run.
pub(super) struct Signals {
    /// The number of the signal that came last; 0: none has come.
    received: Arc<AtomicUsize>,
    /// Whether Ctrl-C or SIGTERM ends the program where it stands.
    at_once: Arc<AtomicBool>,
    /// Whether there is nothing to save yet.
    #[cfg(unix)]
    early: Arc<AtomicBool>,
}

impl Signals {
    /// Catches the signals. Until [`Signals::hold`] the first of them ends the program at once.
    pub(super) fn catch() -> Result<Self> {
        let signals = Self {
            received: Arc::new(AtomicUsize::new(0)),
            at_once: Arc::new(AtomicBool::new(true)),
            #[cfg(unix)]
            early: Arc::new(AtomicBool::new(true)),
        };
        signals.register().map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
        Ok(signals)
    }

    fn register(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal that is held does not end the program, and the next one does.
            flag::register_conditional_shutdown(signal, EXIT_BASE + signal, Arc::clone(&self.at_once))?;
            flag::register(signal, Arc::clone(&self.at_once))?;
            flag::register_usize(signal, Arc::clone(&self.received), signal as usize)?;
        }
        // A terminal that is gone sends it more than once: the shell to its jobs, and the system to what is left. So the second
        // is no wish for haste. And what was started with nohup is to go on.
        #[cfg(unix)]
        if !hangup::is_ignored() {
            flag::register_conditional_shutdown(SIGHUP, EXIT_BASE + SIGHUP, Arc::clone(&self.early))?;
            flag::register_usize(SIGHUP, Arc::clone(&self.received), SIGHUP as usize)?;
        }
        Ok(())
    }

    /// From here on there is a picture to save: the first signal is only noted.
    pub(super) fn hold(&self) {
        self.at_once.store(false, Ordering::SeqCst);
        #[cfg(unix)]
        self.early.store(false, Ordering::SeqCst);
    }

    /// The exit code for the signal that has come.
    pub(super) fn received(&self) -> Option<u8> {
        let signal = self.received.load(Ordering::SeqCst) as i32;
        (signal != 0).then(|| u8::try_from(EXIT_BASE + signal).unwrap_or(u8::MAX))
    }

    /// What `future` gives, or the exit code for a signal that came first. The library's futures return to
    /// their executor every few milliseconds, so that is how soon a signal is seen.
    pub(super) async fn unless<T>(&self, future: impl Future<Output = T>) -> Result<T, u8> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| match self.received() {
            Some(code) => Poll::Ready(Err(code)),
            None => future.as_mut().poll(context).map(Ok),
        })
        .await
    }
}

/// Whether this program was started so that it does not hear SIGHUP, as nohup does it.
#[cfg(unix)]
mod hangup {
    use std::fs;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use signal_hook::consts::SIGHUP;

    pub(super) fn is_ignored() -> bool {
        let status = fs::read_to_string("/proc/self/status").ok();
        status.and_then(|status| is_in_status(&status)).unwrap_or_else(child_ignores)
    }

    /// What Linux says of the process; `None` where it does not.
    pub(super) fn is_in_status(status: &str) -> Option<bool> {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        Some(mask & (1 << (SIGHUP - 1)) != 0)
    }

    /// Elsewhere a child, which inherits it, is asked: it sends the signal to itself.
    pub(super) fn child_ignores() -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.signal() != Some(SIGHUP))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::hangup::{child_ignores, is_in_status};

    #[test]
    fn an_ignored_hangup_is_seen() {
        let status = |mask: &str| format!("Name:\timpasto\nSigBlk:\t0001\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert_eq!(is_in_status(&status("0000000000001001")), Some(true));
        assert_eq!(is_in_status(&status("0000000000001000")), Some(false));
        assert_eq!(is_in_status(&status("none")), None);
        assert_eq!(is_in_status("Name:\timpasto\n"), None);
        // Both ways of asking agree on this process.
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            assert_eq!(is_in_status(&status), Some(child_ignores()));
        }
    }
}

//! The run's side of the page: what it shows there, and the orders that it takes from it between two steps.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use impasto::picture::Picture;
use impasto::transfer::{Costs, Transfer};

use super::board::Board;
use super::due::Due;
use super::moment::{Moment, Wish};
use super::order::Order;
use super::{live, server};
use crate::cli::output::Output;
use crate::cli::signals::Signals;
use crate::cli::{Failure, Result};

/// Between two pictures, at least.
const PAUSE: Duration = Duration::from_millis(300);
/// Orders that wait for the end of a step.
const MAX_ORDERS: usize = 256;
/// How often a run that rests looks for signals.
const REST: Duration = Duration::from_millis(50);
/// How long the end of a run waits for pages to fetch the last picture, and for others after one has.
const LAST_LOOK: Duration = Duration::from_secs(3);
const OTHER_LOOKS: Duration = Duration::from_millis(300);

/// The page of a run.
pub(crate) struct Page {
    board: Arc<Board>,
    orders: Receiver<Order>,
    address: String,
    due: Due,
    /// The step whose picture was saved last.
    saved: Option<u32>,
}

impl Page {
    /// Serves the page at `address`.
    pub(super) fn open(address: SocketAddr, board: Board) -> Result<Self> {
        let cannot = |error: std::io::Error| {
            Failure::Failed(format!(
                "--preview: {address} cannot be listened to: {error}; give another port, or none for a free one"
            ))
        };
        let listener = TcpListener::bind(address).map_err(cannot)?;
        let bound = listener.local_addr().map_err(cannot)?;
        let token = token()?;
        let board = Arc::new(board);
        let (sender, orders) = mpsc::sync_channel(MAX_ORDERS);
        server::start(listener, Arc::clone(&board), sender, &token).map_err(cannot)?;
        let address = format!("http://{}/{token}/", server::local(bound));
        Ok(Self { board, orders, address, due: Due::after(PAUSE), saved: None })
    }

    /// Where it is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The first picture, and the values of the options.
    pub(super) async fn begin(&mut self, transfer: &mut Transfer, now: &Moment) -> Result<()> {
        self.show(transfer, now);
        self.read_picture(transfer).await.map(drop)
    }

    pub(super) fn costs(&self, step: u32, costs: &Costs) {
        self.board.change(|state| state.add_costs(step, costs));
    }

    /// A step is done: shows it with the picture, if one is due, and does what pages asked for.
    pub(super) async fn step(
        &mut self,
        transfer: &mut Transfer,
        now: &Moment,
        signals: &Signals,
        output: &Output,
    ) -> Result<Wish> {
        self.show(transfer, now);
        if self.is_picture_due() {
            self.read_picture(transfer).await?;
        }
        loop {
            let is_paused = self.board.state().paused;
            let order = match self.orders.recv_timeout(if is_paused { REST } else { Duration::ZERO }) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) if is_paused => match signals.received() {
                    Some(code) => return Ok(Wish::Interrupted(code)),
                    None => continue,
                },
                // Without a page to say so, it would never go on.
                Err(_) => return Ok(Wish::GoOn),
            };
            let notice = match order {
                Order::Pause => {
                    // What is seen while the run rests is what there is.
                    self.read_picture(transfer).await?;
                    self.board.change(|state| state.paused = true);
                    None
                }
                Order::GoOn => {
                    self.board.change(|state| state.paused = false);
                    None
                }
                Order::Stop => return Ok(Wish::Stop),
                Order::Save => {
                    let picture = self.read_picture(transfer).await?;
                    Some(self.save(&picture, now.step, output))
                }
                Order::Set { name, value } => {
                    let set = live::set(transfer, &name, value);
                    self.board.change(|state| {
                        state.values = live::values(transfer.options());
                        state.steps = now.step.saturating_add(transfer.remaining_steps());
                    });
                    Some(set)
                }
            };
            let notice = match notice.transpose() {
                Ok(notice) => notice,
                Err(Failure::Failed(message) | Failure::Usage(message)) => Some(message),
                Err(interrupted) => return Err(interrupted),
            };
            self.board.change(|state| {
                state.asked = None;
                if notice.is_some() {
                    state.notice = notice;
                }
            });
        }
    }

    /// Writes the picture after `step` beside the painting, and says where. What is there already stays as it is.
    fn save(&mut self, picture: &Picture, step: u32, output: &Output) -> Result<String> {
        if output.is_standard() {
            return Err(Failure::Usage(
                "OUT is standard output, which has no place for pictures on the way; give OUT a name".into(),
            ));
        }
        let path = output.snapshot_path(step);
        let shown = path.display();
        if self.saved != Some(step) {
            if path.symlink_metadata().is_ok() {
                return Err(Failure::Usage(format!(
                    "{shown} is there already, and stays as it is; rename it to save this picture"
                )));
            }
            output.write_snapshot(step, picture)?;
            self.saved = Some(step);
        }
        Ok(format!("saved as {shown}"))
    }

    /// What ends the page, however the run does.
    pub(super) fn last_words(&self) -> LastWords {
        LastWords(Arc::clone(&self.board))
    }

    fn show(&self, transfer: &Transfer, now: &Moment) {
        self.board.change(|state| {
            (state.step, state.steps) = (now.step, now.step.saturating_add(now.remaining));
            (state.lap, state.left) = (now.lap, now.left);
            (state.size, state.memory) = (transfer.scale_size(), transfer.allocated_bytes());
            if state.values.is_null() {
                state.values = live::values(transfer.options());
            }
        });
    }

    fn is_picture_due(&self) -> bool {
        self.due.is_now() && self.board.wants_picture.swap(false, Ordering::SeqCst)
    }

    async fn read_picture(&mut self, transfer: &mut Transfer) -> Result<Picture> {
        let begin = Instant::now();
        let picture = transfer.picture().await?;
        self.due.shown(begin);
        self.board.change(|state| state.set_picture(picture.clone()));
        Ok(picture)
    }
}

/// What ends a page.
pub(super) struct LastWords(Arc<Board>);

impl LastWords {
    /// The run is over: shows the last picture and `message`, and waits a little for pages to fetch it.
    pub(super) fn end(&self, picture: Option<&Picture>, message: &str) {
        let readers = self.0.readers.load(Ordering::SeqCst);
        self.0.change(|state| {
            if state.ended.is_some() {
                return;
            }
            if let Some(picture) = picture {
                state.size = (picture.width(), picture.height());
                state.set_picture(picture.clone());
            }
            (state.paused, state.asked, state.left) = (false, None, None);
            state.ended = Some(message.to_owned());
        });
        let end = Instant::now() + LAST_LOOK;
        let looks = || self.0.last_looks.load(Ordering::SeqCst);
        while looks() < readers && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        if looks() > 0 {
            std::thread::sleep(OTHER_LOOKS);
        }
    }
}

/// 128 random bits in hexadecimal digits, which no other page can guess.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Failed(format!("--preview: the system has no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

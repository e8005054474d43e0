//! `--preview`: the painting is seen while it grows. In the browser, a page also steers the run; a terminal only shows it.

mod board;
mod due;
mod live;
mod moment;
mod order;
mod page;
pub(super) mod place;
mod server;
mod terminal;

use impasto::picture::Picture;
use impasto::transfer::{Costs, Source, Transfer};
use serde_json::{Value, json};

use self::board::Board;
pub(super) use self::moment::{Moment, Wish};
use self::page::Page;
use self::place::Place;
use self::terminal::Terminal;
use super::job::Job;
use super::output::Output;
use super::progress::Progress;
use super::signals::Signals;
use super::{Result, say};

/// What shows a run.
pub(super) enum Preview {
    Page(Page),
    Terminal(Terminal),
}

impl Preview {
    /// Refuses a place that cannot show anything, before anything takes long.
    pub(super) fn check(place: Place) -> Result<()> {
        if place == Place::Terminal { terminal::check() } else { Ok(()) }
    }

    /// Opens the place, and says where that is.
    pub(super) fn open(place: Place, job: &Job, output: &Output, progress: &mut Progress) -> Result<Self> {
        match place {
            Place::Page(address) => {
                let page = Page::open(address, board(job, output)?)?;
                progress.aside(|| say(format_args!("preview: {}", page.address())));
                if has_desktop() {
                    // Without a browser, the address is enough.
                    let _ = open::that_detached(page.address());
                }
                Ok(Self::Page(page))
            }
            Place::Terminal => Ok(Self::Terminal(Terminal::of_environment())),
        }
    }

    /// Shows the start.
    pub(super) async fn begin(
        &mut self,
        transfer: &mut Transfer,
        now: &Moment,
        progress: &Progress,
    ) -> Result<()> {
        match self {
            Self::Page(page) => page.begin(transfer, now).await,
            Self::Terminal(terminal) => terminal.show(transfer, progress).await,
        }
    }

    /// The costs of the picture after `step` steps are known.
    pub(super) fn costs(&self, step: u32, costs: &Costs) {
        if let Self::Page(page) = self {
            page.costs(step, costs);
        }
    }

    /// A step is done.
    pub(super) async fn step(
        &mut self,
        transfer: &mut Transfer,
        now: &Moment,
        signals: &Signals,
        output: &Output,
        progress: &Progress,
    ) -> Result<Wish> {
        match self {
            Self::Page(page) => page.step(transfer, now, signals, output).await,
            Self::Terminal(terminal) => {
                if terminal.is_due() {
                    terminal.show(transfer, progress).await?;
                }
                Ok(Wish::GoOn)
            }
        }
    }

    /// The run is about to end with this picture: what is said of that comes below it.
    pub(super) fn show_last(&mut self, picture: &Picture, progress: &Progress) -> Result<()> {
        match self {
            Self::Page(_) => Ok(()),
            Self::Terminal(terminal) => terminal.draw(picture, progress),
        }
    }

    /// The run has ended with this picture.
    pub(super) fn end(&self, picture: &Picture, message: &str) {
        if let Self::Page(page) = self {
            page.last_words().end(Some(picture), message);
        }
    }

    /// What tells pages that a run has failed.
    pub(super) fn last_words(&self) -> Option<impl FnOnce(&str) + use<>> {
        let Self::Page(page) = self else { return None };
        let words = page.last_words();
        Some(move |message: &str| words.end(None, message))
    }
}

/// What is known of a run before its steps.
fn board(job: &Job, output: &Output) -> Result<Board> {
    let (width, height) = job.plan.step.size;
    let content = match &job.sources.content {
        Some(Source::Picture(picture)) => Some(picture.resized(width, height)),
        _ => None,
    };
    let layouts = job.sources.layouts()?;
    let fields = live::fields(&job.options, job.engine.weights().network(), &layouts);
    let about: Value = json!({
        "painting": output.shown(),
        "size": [width, height],
        "adapter": job.engine.gpu().summary().name,
        "fields": fields,
    });
    Ok(Board::new(content, output.opacity().cloned(), about))
}

/// Whether a browser has a screen to open on.
fn has_desktop() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

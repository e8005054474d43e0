//! What a painting would take, told before it starts.

use eframe::egui;
use impasto::transfer::{SourceLayouts, Transfer};

use super::engines::Engines;
use crate::background::{Background, Progress};
use crate::notice::Notice;
use crate::settings::Settings;

/// What is asked: the settings, and what is known of the pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub settings: Settings,
    pub pictures: SourceLayouts,
}

/// The answer: the size of the painting and its memory in bytes.
pub type Needs = Result<((u32, u32), u64), Notice>;

/// Asks in the background, for the newest settings.
pub struct Estimate {
    context: egui::Context,
    engines: Engines,
    under_way: Option<(Question, Background<Needs>)>,
    answer: Option<(Question, Needs)>,
}

impl Estimate {
    pub(super) fn new(context: &egui::Context, engines: Engines) -> Self {
        Self { context: context.clone(), engines, under_way: None, answer: None }
    }

    /// What is known for now; the answer to an older question until the newest is there.
    pub fn answer(&self) -> Option<&Needs> {
        self.answer.as_ref().map(|(_, needs)| needs)
    }

    /// Asks, unless the answer is there or on its way.
    pub fn ask(&mut self, mut question: Question) {
        // Neither matters, and a budget or a number of steps that is dragged would ask without end.
        question.settings.frame_budget = 0.0;
        question.settings.options.steps = 0;
        if let Some((asked, mut work)) = self.under_way.take() {
            match work.poll() {
                Progress::UnderWay => {
                    self.under_way = Some((asked, work));
                    return;
                }
                Progress::Done(needs) => self.answer = Some((asked, needs)),
                Progress::Lost => {
                    self.answer = Some((asked, Err(Notice::lost("What it needs is not known"))));
                }
            }
        }
        if self.answer.as_ref().is_some_and(|(asked, _)| *asked == question) {
            return;
        }
        let (engines, asked) = (self.engines.clone(), question.clone());
        let work = move || needs(&engines, &asked);
        self.under_way = Some((question, Background::start(&self.context, "estimate", work)));
    }

    /// The pictures are gone, and with them the answer.
    pub fn forget(&mut self) {
        self.answer = None;
    }
}

fn needs(engines: &Engines, question: &Question) -> Needs {
    let Question { settings, pictures } = question;
    let options = &settings.options;
    let planned = engines.get(&settings.engine).and_then(|engine| {
        options.validate_for_frames()?;
        Transfer::plan(&engine, pictures.clone(), options)
    });
    match planned {
        Ok(plan) => Ok((plan.step.size, plan.bytes.total)),
        Err(error) => Err(Notice::of("It cannot start like this", &error)),
    }
}

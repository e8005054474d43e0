//! What takes longer than a frame, done on a thread.

use std::path::PathBuf;
use std::sync::Arc;

use impasto::picture::{Picture, PictureFormat};
use impasto::transfer::{Options, Sources, Transfer};
use pollster::block_on;

use super::canvas_texture::CanvasTexture;
use super::engines::Engines;
use crate::notice::Notice;
use crate::settings::EngineSettings;

/// A thing to do with a transfer.
#[derive(Clone)]
pub(super) enum Errand {
    Create { sources: Box<Sources>, options: Box<Options> },
    Style(Arc<Picture>),
    Content(Arc<Picture>),
    Save(PathBuf, PictureFormat),
}

/// What was done.
pub(super) enum Outcome {
    Created,
    Changed,
    Saved(PathBuf),
}

/// A transfer, back from its errand. One that could not be created does not come back.
pub(super) struct Returned {
    pub transfer: Option<Box<Transfer>>,
    pub outcome: Result<Outcome, Notice>,
}

pub(super) fn create(engines: &Engines, settings: &EngineSettings, errand: Errand) -> Returned {
    let Errand::Create { sources, options } = errand else {
        return Returned { transfer: None, outcome: Err(Notice::lost("The painting cannot start")) };
    };
    let create = async {
        let mut transfer = Transfer::create(&engines.get(settings)?, *sources, &options).await?;
        // Otherwise the frame that shows the start would compile a kernel.
        transfer.prepare_output(CanvasTexture::FORMAT).await?;
        Ok(transfer)
    };
    match block_on(create) {
        Ok(transfer) => Returned { transfer: Some(Box::new(transfer)), outcome: Ok(Outcome::Created) },
        Err(error) => {
            Returned { transfer: None, outcome: Err(Notice::of("The painting cannot start", &error)) }
        }
    }
}

pub(super) fn run(mut transfer: Box<Transfer>, errand: Errand) -> Returned {
    let outcome = match errand {
        Errand::Style(style) => block_on(transfer.set_style(&*style))
            .map(|()| Outcome::Changed)
            .map_err(|error| Notice::of("The style stays as it was", &error)),
        Errand::Content(content) => block_on(transfer.set_content(&*content))
            .map(|()| Outcome::Changed)
            .map_err(|error| Notice::of("The photograph stays as it was", &error)),
        Errand::Save(path, format) => save(&mut transfer, path, format),
        Errand::Create { .. } => Err(Notice::lost("The painting cannot start")),
    };
    Returned { transfer: Some(transfer), outcome }
}

fn save(transfer: &mut Transfer, path: PathBuf, format: PictureFormat) -> Result<Outcome, Notice> {
    let headline = "The painting is not saved";
    let bytes = block_on(transfer.picture())
        .and_then(|picture| picture.encode(format))
        .map_err(|error| Notice::of(headline, &error))?;
    match std::fs::write(&path, bytes) {
        Ok(()) => Ok(Outcome::Saved(path)),
        Err(error) => {
            let remedy = "choose another folder, or make room on the disk; the painting is still here";
            Err(Notice::of_file(headline, &path, &error, remedy))
        }
    }
}

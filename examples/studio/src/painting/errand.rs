//! What takes longer than a frame, done on a thread.

use std::path::PathBuf;

use impasto::picture::PictureFormat;
use impasto::transfer::{Options, SourceId, Transfer};
use pollster::block_on;

use super::canvas_texture::CanvasTexture;
use super::engines::Engines;
use super::ingredients::{Ingredients, source};
use crate::notice::Notice;
use crate::settings::EngineSettings;

/// A thing to do with a transfer.
#[derive(Clone)]
pub(super) enum Errand {
    Create {
        ingredients: Ingredients,
        options: Box<Options>,
    },
    /// Takes in these of the ingredients.
    Change(Vec<SourceId>, Ingredients),
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
    let Errand::Create { ingredients, options } = errand else {
        return Returned { transfer: None, outcome: Err(Notice::lost("The painting cannot start")) };
    };
    let create = async {
        let mut transfer =
            Transfer::create(&engines.get(settings)?, ingredients.sources()?, &options).await?;
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
        Errand::Change(changed, ingredients) => change(&mut transfer, &changed, &ingredients)
            .map(|()| Outcome::Changed)
            .map_err(|error| Notice::of("The painting stays as it was", &error)),
        Errand::Save(path, format) => save(&mut transfer, path, format),
        Errand::Create { .. } => Err(Notice::lost("The painting cannot start")),
    };
    Returned { transfer: Some(transfer), outcome }
}

fn change(transfer: &mut Transfer, changed: &[SourceId], ingredients: &Ingredients) -> impasto::Result<()> {
    let sources = ingredients.sources()?;
    for id in changed {
        if let Some(source) = source(&sources, *id) {
            block_on(transfer.set_source(*id, source))?;
        }
    }
    Ok(())
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

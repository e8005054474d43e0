//! What the run and the server of its page share: the run writes what there is to see, and never waits for a reader.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use image::ExtendedColorType;
use image::codecs::bmp::BmpEncoder;
use impasto::picture::{EncodeOptions, Picture, PictureFormat};
use impasto::transfer::Costs;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Costs that are kept. Of more, every second is let go.
const MAX_COSTS: usize = 4096;

/// A picture, and its file once a page asked for it: one for all pages.
#[derive(Debug)]
pub(super) struct Shown {
    picture: Picture,
    file: OnceLock<Option<(Bytes, &'static str)>>,
}

impl Shown {
    pub(super) fn new(picture: Picture) -> Self {
        Self { picture, file: OnceLock::new() }
    }

    /// The file with its media type; `None` where it cannot be made. Its pixels are those of the picture, as opaque as
    /// `opacity` is bright. BMP takes no time to pack, which the run then has for painting.
    pub(super) fn file(&self, opacity: Option<&Picture>) -> Option<(Bytes, &'static str)> {
        self.file.get_or_init(|| packed(&self.picture, opacity)).clone()
    }
}

fn packed(picture: &Picture, opacity: Option<&Picture>) -> Option<(Bytes, &'static str)> {
    if let Some(opacity) = opacity {
        let options = EncodeOptions::default().with(|options| options.opacity = Some(opacity.clone()));
        let file = picture.encode_with(PictureFormat::Png, &options).ok()?;
        return Some((file.into(), "image/png"));
    }
    let mut file = Vec::new();
    let mut encoder = BmpEncoder::new(&mut file);
    encoder.encode(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8).ok()?;
    Some((file.into(), "image/bmp"))
}

/// What there is to see.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) step: u32,
    pub(super) steps: u32,
    /// Width and height of what is painted now.
    pub(super) size: (u32, u32),
    /// Seconds of the last step.
    pub(super) lap: f64,
    /// Seconds that are left, where that is known.
    pub(super) left: Option<f64>,
    /// Bytes on the device.
    pub(super) memory: u64,
    pub(super) paused: bool,
    /// What the run does after the step that is under way.
    pub(super) asked: Option<&'static str>,
    /// What became of the last order.
    pub(super) notice: Option<String>,
    /// How the run ended.
    pub(super) ended: Option<String>,
    picture: Option<Arc<Shown>>,
    /// The number of the picture, and after how many steps it is the painting.
    picture_number: (u32, u32),
    /// The values of the options that can change, by name.
    pub(super) values: Value,
    names: Vec<String>,
    /// For each step that was seen the step and the costs.
    costs: Vec<(u32, Vec<f32>)>,
}

impl State {
    /// Shows the picture after the last step.
    pub(super) fn set_picture(&mut self, picture: Picture) {
        self.picture = Some(Arc::new(Shown::new(picture)));
        self.picture_number = (self.picture_number.0 + 1, self.step);
    }

    /// The picture that is shown.
    pub(super) fn picture(&self) -> Option<Arc<Shown>> {
        self.picture.clone()
    }

    /// The costs of the picture after `step` steps.
    pub(super) fn add_costs(&mut self, step: u32, costs: &Costs) {
        // A checkpoint takes the costs that the next step returns again.
        if self.costs.last().is_some_and(|(last, _)| *last >= step) {
            return;
        }
        let terms = costs.terms.iter().map(|term| (term.name.to_string(), term.cost));
        let (names, values) = std::iter::once(("total".to_owned(), costs.total)).chain(terms).unzip();
        self.names = names;
        if self.costs.len() >= MAX_COSTS {
            let mut index = 0;
            self.costs.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.costs.push((step, values));
    }

    /// What changes, with the costs after `seen`, where that is the last step whose costs a page has.
    pub(super) fn changing(&self, seen: Option<u32>) -> Value {
        let new = self.costs.partition_point(|(step, _)| seen.is_some_and(|seen| *step <= seen));
        json!({
            "step": self.step,
            "steps": self.steps,
            "size": self.size,
            "lap": self.lap,
            "left": self.left,
            "memory": self.memory,
            "paused": self.paused,
            "asked": self.asked,
            "notice": self.notice,
            "ended": self.ended,
            "picture": self.picture.as_ref().map(|_| self.picture_number),
            "values": self.values,
            "names": self.names,
            "costs": self.costs[new..],
        })
    }

    /// The last step whose costs are known.
    pub(super) fn last_costs(&self) -> Option<u32> {
        self.costs.last().map(|(step, _)| *step)
    }
}

/// What the run and the server share.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Grows with every change.
    changes: watch::Sender<u64>,
    /// Streams of events that are open.
    pub(super) readers: AtomicUsize,
    /// Whether a page has shown the last picture, and waits for another.
    pub(super) wants_picture: AtomicBool,
    /// Pages that fetched a picture after the run had ended.
    pub(super) last_looks: AtomicUsize,
    /// The photograph, at the size of the painting.
    pub(super) content: Option<Arc<Shown>>,
    /// Where the painting is opaque, if not everywhere.
    pub(super) opacity: Option<Picture>,
    /// What does not change, as the page has it.
    pub(super) about: Value,
}

impl Board {
    pub(super) fn new(content: Option<Picture>, opacity: Option<Picture>, about: Value) -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            readers: AtomicUsize::new(0),
            wants_picture: AtomicBool::new(false),
            last_looks: AtomicUsize::new(0),
            content: content.map(|picture| Arc::new(Shown::new(picture))),
            opacity,
            about,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes what follows it.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_modify(|number| *number += 1);
    }

    /// Tells of changes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A page has fetched a picture.
    pub(super) fn was_seen(&self, has_ended: bool) {
        self.wants_picture.store(true, Ordering::SeqCst);
        if has_ended {
            self.last_looks.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The pixels of the file are those of the picture, with and without transparency.
    #[test]
    fn a_shown_file_has_the_pictures_pixels() {
        let rgb = (0..7 * 5 * 3).map(|index| (index * 37 % 251) as u8).collect();
        let picture = Picture::from_rgb(7, 5, rgb).unwrap();
        let (file, kind) = Shown::new(picture.clone()).file(None).unwrap();
        assert_eq!((Picture::decode(&file, "").unwrap(), kind), (picture.clone(), "image/bmp"));
        let opacity = Picture::from_rgb(7, 5, vec![255; 7 * 5 * 3]).unwrap();
        let (file, kind) = Shown::new(picture.clone()).file(Some(&opacity)).unwrap();
        assert_eq!((Picture::decode(&file, "").unwrap(), kind), (picture, "image/png"));
    }
}

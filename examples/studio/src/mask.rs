//! A mask: a grey picture that says where something counts, painted with a brush or read from a file.

use std::sync::Arc;

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};
use impasto::picture::{Picture, Size};

/// Longer side of a mask that is painted. It is stretched to the painting's size, and has soft edges anyway.
const LONGEST_SIDE: u32 = 1024;

/// Changes that can be taken back.
const MOST_UNDONE: usize = 40;

/// What a stroke is made with. Sizes are in pixels of the mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brush {
    pub radius: f32,
    /// The share of the radius over which a stroke fades out, 0 to 1.
    pub softness: f32,
    /// It takes away what is painted.
    pub erases: bool,
}

impl Brush {
    /// How much of a place at this distance from the middle of the stroke is covered, 0 to 1.
    fn cover(&self, distance: f32) -> f32 {
        // A hard edge is one pixel wide, too: stairs would show in the painting.
        let edge = (self.radius * self.softness).max(1.0);
        ((self.radius + 0.5 - distance) / edge).clamp(0.0, 1.0)
    }
}

/// A mask with what it was before its last changes. Where nothing is painted at all, it counts as none.
#[derive(Debug)]
pub struct Mask {
    sides: (u32, u32),
    levels: Vec<u8>,
    before: Vec<Vec<u8>>,
    /// What a painting gets: it follows at the end of each change. `None`: nothing is painted.
    picture: Option<Arc<Picture>>,
    version: u64,
}

impl Mask {
    /// Nothing is painted; for a photograph of these sides.
    pub fn new(photograph: (u32, u32)) -> Self {
        let sides = Size::LongerSide(LONGEST_SIDE).fit(photograph.0, photograph.1);
        let levels = vec![0; sides.0 as usize * sides.1 as usize];
        Self { sides, levels, before: Vec::new(), picture: None, version: 0 }
    }

    /// From a file. Its own pixels are what a painting gets, until something is painted over them.
    pub fn from_picture(picture: Picture, photograph: (u32, u32)) -> Self {
        let mut mask = Self::new(photograph);
        mask.levels = levels(&picture, mask.sides);
        mask.picture = Some(Arc::new(picture)).filter(|_| !mask.is_empty());
        mask
    }

    /// Stretches it for a photograph of other sides.
    pub fn fit(&mut self, photograph: (u32, u32)) {
        let fitted = Self::new(photograph);
        if fitted.sides == self.sides {
            return;
        }
        if let Some(picture) = grey(self.sides, &self.levels) {
            self.levels = levels(&picture, fitted.sides);
            self.sides = fitted.sides;
            self.before.clear();
            self.version += 1;
        }
    }

    pub fn sides(&self) -> (u32, u32) {
        self.sides
    }

    /// Row by row: 255 counts in full, 0 not at all.
    pub fn levels(&self) -> &[u8] {
        &self.levels
    }

    /// Another number after each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What a painting gets, where anything is painted.
    pub fn picture(&self) -> Option<&Arc<Picture>> {
        self.picture.as_ref()
    }

    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| *level == 0)
    }

    pub fn can_undo(&self) -> bool {
        !self.before.is_empty()
    }

    /// A change begins: what is there now can be had back.
    pub fn begin(&mut self) {
        if self.before.len() == MOST_UNDONE {
            self.before.remove(0);
        }
        self.before.push(self.levels.clone());
    }

    /// The change is done, and paintings get it.
    pub fn settle(&mut self) {
        self.picture = if self.is_empty() { None } else { grey(self.sides, &self.levels).map(Arc::new) };
        self.version += 1;
    }

    /// Moves the brush from one place to another, in pixels. Both may lie outside.
    pub fn stroke(&mut self, brush: &Brush, from: Pos2, to: Pos2) {
        let reach = Rect::from_two_pos(from, to).expand(brush.radius + 1.0);
        let (width, height) = self.sides;
        let span = |low: f32, high: f32, side: u32| {
            // Numbers out of range become the nearest that an integer can hold.
            (low.floor().max(0.0) as u32).min(side)..(high.ceil().max(0.0) as u32).min(side)
        };
        let columns = span(reach.left(), reach.right(), width);
        for y in span(reach.top(), reach.bottom(), height) {
            let row = y as usize * width as usize;
            for x in columns.clone() {
                let place = pos2(x as f32 + 0.5, y as f32 + 0.5);
                let cover = (255.0 * brush.cover(distance(place, from, to))).round() as u8;
                let level = &mut self.levels[row + x as usize];
                *level = if brush.erases { (*level).min(255 - cover) } else { (*level).max(cover) };
            }
        }
        self.version += 1;
    }

    /// Takes the last change back.
    pub fn undo(&mut self) {
        if let Some(before) = self.before.pop() {
            self.levels = before;
            self.settle();
        }
    }

    pub fn clear(&mut self) {
        self.begin();
        self.levels.fill(0);
        self.settle();
    }

    pub fn invert(&mut self) {
        self.begin();
        self.levels.iter_mut().for_each(|level| *level = 255 - *level);
        self.settle();
    }
}

/// How far a place is from the way between two others.
fn distance(place: Pos2, from: Pos2, to: Pos2) -> f32 {
    let way: Vec2 = to - from;
    let along = if way == vec2(0.0, 0.0) { 0.0 } else { (place - from).dot(way) / way.length_sq() };
    place.distance(from + way * along.clamp(0.0, 1.0))
}

/// The brightness of a picture, at these sides.
fn levels(picture: &Picture, (width, height): (u32, u32)) -> Vec<u8> {
    let pixels = picture.resized(width, height);
    let (pixels, _) = pixels.rgb().as_chunks::<3>();
    let brightness = |[red, green, blue]: &[u8; 3]| {
        // The weights of luminance in 256ths.
        let sum = 77 * u32::from(*red) + 150 * u32::from(*green) + 29 * u32::from(*blue);
        (sum >> 8) as u8
    };
    pixels.iter().map(brightness).collect()
}

fn grey((width, height): (u32, u32), levels: &[u8]) -> Option<Picture> {
    Picture::from_rgb(width, height, levels.iter().flat_map(|level| [*level; 3]).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARD: Brush = Brush { radius: 3.0, softness: 0.0, erases: false };

    fn level(mask: &Mask, x: u32, y: u32) -> u8 {
        mask.levels()[(y * mask.sides().0 + x) as usize]
    }

    fn stroked(sides: (u32, u32), from: Pos2, to: Pos2) -> Mask {
        let mut mask = Mask::new(sides);
        mask.begin();
        mask.stroke(&HARD, from, to);
        mask.settle();
        mask
    }

    #[test]
    fn a_stroke_covers_what_is_within_its_radius() {
        let mask = stroked((37, 19), pos2(8.5, 9.5), pos2(20.5, 9.5));
        for y in 0..19 {
            for x in 0..37 {
                let along = (x as f32).clamp(8.0, 20.0);
                let distance = (x as f32 - along).hypot(y as f32 - 9.0);
                let expected = match distance {
                    d if d <= 2.5 => Some(255),
                    d if d >= 3.5 => Some(0),
                    _ => None,
                };
                if let Some(expected) = expected {
                    assert_eq!(level(&mask, x, y), expected, "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn a_soft_edge_falls_from_the_middle_to_the_rim() {
        let mut mask = Mask::new((41, 41));
        let brush = Brush { radius: 16.0, softness: 1.0, erases: false };
        mask.stroke(&brush, pos2(20.5, 20.5), pos2(20.5, 20.5));
        let row: Vec<u8> = (20..41).map(|x| level(&mask, x, 20)).collect();
        assert!(row.is_sorted_by(|near, far| near >= far), "{row:?}");
        assert!(row[0] > 250 && row[8] > 100 && row[8] < 160 && row[17] == 0, "{row:?}");
    }

    #[test]
    fn what_is_erased_is_gone_and_nothing_else() {
        let mut mask = stroked((31, 17), pos2(5.5, 8.5), pos2(25.5, 8.5));
        mask.begin();
        mask.stroke(&Brush { erases: true, ..HARD }, pos2(15.5, 8.5), pos2(15.5, 8.5));
        mask.settle();
        assert_eq!([level(&mask, 15, 8), level(&mask, 5, 8), level(&mask, 25, 8)], [0, 255, 255]);
        let picture = mask.picture().map(|picture| picture.rgb()[3 * (8 * 31 + 15)]);
        assert_eq!(picture, Some(0));
    }

    #[test]
    fn changes_are_taken_back_one_by_one() {
        let mut mask = stroked((9, 7), pos2(4.0, 3.0), pos2(4.0, 3.0));
        let stroke = mask.levels().to_vec();
        mask.invert();
        assert!(mask.levels().iter().zip(&stroke).all(|(now, then)| now + then == 255));
        mask.clear();
        assert!(mask.is_empty() && mask.picture().is_none());
        mask.undo();
        mask.undo();
        assert_eq!(mask.levels(), stroke);
        mask.undo();
        assert!(mask.is_empty() && !mask.can_undo());
        mask.undo();
        assert!(mask.is_empty());
        (0..MOST_UNDONE + 9).for_each(|_| mask.invert());
        assert_eq!(mask.before.len(), MOST_UNDONE);
    }

    /// Wherever the mouse goes, and however small the picture is.
    #[test]
    fn strokes_may_lie_outside() {
        let half = stroked((11, 5), pos2(-40.0, 2.5), pos2(2.0, 2.5));
        assert_eq!([level(&half, 0, 2), level(&half, 10, 2)], [255, 0]);
        for (from, to) in [
            (pos2(-90.0, -90.0), pos2(-50.0, -70.0)),
            (pos2(80.0, 2.0), pos2(90.0, 2.0)),
            (pos2(f32::INFINITY, 1.0), pos2(f32::INFINITY, 1.0)),
        ] {
            assert!(stroked((11, 5), from, to).is_empty(), "{from:?} {to:?}");
        }
        assert_eq!(stroked((1, 1), pos2(0.5, 0.5), pos2(0.5, 0.5)).levels(), [255]);
    }

    #[test]
    fn a_file_is_taken_as_it_is_until_it_is_painted_over() {
        let grey = |levels: &[u8]| levels.iter().flat_map(|level| [*level; 3]).collect();
        let Ok(file) = Picture::from_rgb(2, 1, grey(&[0, 255])) else { unreachable!() };
        let mut mask = Mask::from_picture(file, (300, 150));
        assert_eq!(mask.sides(), (300, 150));
        assert_eq!(mask.picture().map(|picture| (picture.width(), picture.height())), Some((2, 1)));
        assert_eq!([level(&mask, 0, 75), level(&mask, 299, 75)], [0, 255]);
        mask.stroke(&HARD, pos2(2.0, 2.0), pos2(2.0, 2.0));
        mask.settle();
        assert_eq!(mask.picture().map(|picture| (picture.width(), picture.height())), Some((300, 150)));
        mask.fit((4000, 4000));
        assert_eq!(mask.sides(), (1024, 1024));
        assert_eq!(level(&mask, 1023, 500), 255);
        let Ok(black) = Picture::from_rgb(2, 1, grey(&[0, 0])) else { unreachable!() };
        assert!(Mask::from_picture(black, (3, 3)).picture().is_none());
    }
}

//! The pictures that a painting is made of, and what of others can go into it while it runs.

use std::sync::Arc;

use impasto::picture::Picture;
use impasto::transfer::{Init, Options, Source, SourceId, SourceLayout, SourceLayouts, Sources, StyleLayout};
use impasto::{OptionName, Result};

/// A style with its share, and where it is painted.
#[derive(Clone, Debug)]
pub struct StyleIngredient {
    pub picture: Arc<Picture>,
    pub weight: f32,
    pub mask: Option<Arc<Picture>>,
}

/// All pictures of a painting.
#[derive(Clone, Debug)]
pub struct Ingredients {
    pub content: Arc<Picture>,
    pub styles: Vec<StyleIngredient>,
    pub content_mask: Option<Arc<Picture>>,
    pub strength_map: Option<Arc<Picture>>,
    /// What to start from, where the options ask for a picture.
    pub start: Option<Arc<Picture>>,
}

/// What becomes of a running painting's pictures when others are wanted.
pub(super) struct CarriedOver {
    pub ingredients: Ingredients,
    pub changed: Vec<SourceId>,
    /// What needs a new start.
    pub waiting: Vec<OptionName>,
}

impl Ingredients {
    /// As the library takes them. The mask of the content becomes one of each style.
    pub(super) fn sources(&self) -> Result<Sources> {
        let mut sources = Sources::from_content(Some(&*self.content));
        for style in &self.styles {
            sources = sources.with_style(&*style.picture, style.weight);
            if let Some(mask) = &style.mask {
                sources = sources.with_style_mask(&**mask);
            }
        }
        if let Some(mask) = &self.content_mask {
            sources = sources.with_content_mask(&**mask)?;
        }
        if let Some(map) = &self.strength_map {
            sources = sources.with_strength_map(&**map);
        }
        if let Some(start) = &self.start {
            sources = sources.with_initial(&**start);
        }
        Ok(sources)
    }

    /// What a plan must know of them. Nothing is computed for it: masks are stretched, so that any of their sides will do.
    pub fn layouts(&self) -> SourceLayouts {
        let layout = |picture: &Arc<Picture>| SourceLayout::from(sides(picture));
        let mut layouts = SourceLayouts::reconstruction(layout(&self.content));
        for style in &self.styles {
            let mut known = StyleLayout::from(layout(&style.picture));
            known.weight = style.weight;
            known.mask = style.mask.as_ref().or(self.content_mask.as_ref()).map(layout);
            layouts.styles.push(known);
        }
        layouts.strength_map = self.strength_map.as_ref().map(layout);
        // It is stretched to the content's size before: its own sides do not matter.
        layouts.initial = self.start.as_ref().map(|_| layout(&self.content));
        layouts
    }

    /// These, after as much of `wanted` as a painting with `options` can take while it runs: a picture in the place of
    /// another one.
    pub(super) fn carry_over(&self, wanted: &Self, options: &Options) -> CarriedOver {
        let mut carried = CarriedOver { ingredients: self.clone(), changed: Vec::new(), waiting: Vec::new() };
        carried.take_content(wanted, options);
        carried.take_styles(wanted);
        let own = &mut carried.ingredients.strength_map;
        match (&own, &wanted.strength_map) {
            (now, then) if same(now, then) => {}
            (Some(_), Some(map)) => {
                *own = Some(Arc::clone(map));
                carried.changed.push(SourceId::StrengthMap);
            }
            _ => carried.waiting.push(OptionName::StrengthMap),
        }
        if options.init == Init::Picture && !same(&self.start, &wanted.start) {
            carried.waiting.push(OptionName::Initial);
        }
        carried
    }
}

impl CarriedOver {
    fn take_content(&mut self, wanted: &Ingredients, options: &Options) {
        let own = &mut self.ingredients.content;
        if Arc::ptr_eq(own, &wanted.content) {
            return;
        }
        if options.fit_content(sides(own)) == options.fit_content(sides(&wanted.content)) {
            *own = Arc::clone(&wanted.content);
            self.changed.push(SourceId::Content);
        } else {
            self.waiting.push(OptionName::Content);
        }
    }

    fn take_styles(&mut self, wanted: &Ingredients) {
        let own = &mut self.ingredients;
        if own.styles.len() != wanted.styles.len() {
            self.waiting.push(OptionName::Style);
            return;
        }
        let has_mask = |ingredients: &Ingredients| ingredients.content_mask.is_some();
        // Where it comes or goes, every style has a mask or none.
        let is_new_mask = has_mask(own) == has_mask(wanted) && !same(&own.content_mask, &wanted.content_mask);
        if has_mask(own) != has_mask(wanted) {
            self.waiting.push(OptionName::ContentMask);
        } else {
            own.content_mask.clone_from(&wanted.content_mask);
        }
        let is_masked = has_mask(own);
        for (index, (own, wanted)) in own.styles.iter_mut().zip(&wanted.styles).enumerate() {
            if !Arc::ptr_eq(&own.picture, &wanted.picture) {
                own.picture = Arc::clone(&wanted.picture);
                self.changed.push(SourceId::Style(index));
            }
            if own.weight != wanted.weight {
                self.waiting.push(OptionName::StyleWeights);
            }
            let can_change = is_masked || own.mask.is_some() == wanted.mask.is_some();
            if !can_change {
                self.waiting.push(OptionName::StyleMask);
            } else if is_new_mask || !same(&own.mask, &wanted.mask) {
                own.mask.clone_from(&wanted.mask);
                self.changed.push(SourceId::StyleMask(index));
            }
        }
        self.waiting.dedup();
    }
}

/// One of the sources that a running painting can get another picture for.
pub(super) fn source(sources: &Sources, id: SourceId) -> Option<Source> {
    let style = |index: usize| sources.styles.get(index);
    match id {
        SourceId::Content => sources.content.clone(),
        SourceId::Style(index) => style(index).map(|style| style.source.clone()),
        SourceId::StyleMask(index) => style(index).and_then(|style| style.mask.clone()),
        SourceId::StrengthMap => sources.strength_map.clone(),
        _ => None,
    }
}

fn sides(picture: &Picture) -> (u32, u32) {
    (picture.width(), picture.height())
}

/// Whether both are one picture in memory. To compare pixels would take long.
fn same(a: &Option<Arc<Picture>>, b: &Option<Arc<Picture>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32) -> Arc<Picture> {
        let pixels = vec![200; 3 * width as usize * height as usize];
        let Ok(picture) = Picture::from_rgb(width, height, pixels) else { unreachable!() };
        Arc::new(picture)
    }

    fn style() -> StyleIngredient {
        StyleIngredient { picture: picture(5, 4), weight: 1.0, mask: None }
    }

    fn ingredients() -> Ingredients {
        Ingredients {
            content: picture(8, 6),
            styles: vec![style()],
            content_mask: None,
            strength_map: None,
            start: None,
        }
    }

    fn carried(from: &Ingredients, to: &Ingredients) -> (Vec<SourceId>, Vec<OptionName>) {
        let carried = from.carry_over(to, &Options::default());
        // What was taken over is not taken a second time.
        let again = carried.ingredients.carry_over(to, &Options::default());
        assert!(again.changed.is_empty(), "{:?}", again.changed);
        assert_eq!(again.waiting, carried.waiting);
        (carried.changed, carried.waiting)
    }

    #[test]
    fn a_picture_in_the_place_of_another_goes_over() {
        let own = ingredients();
        assert_eq!(carried(&own, &own.clone()), (vec![], vec![]));
        let mut wanted = own.clone();
        wanted.content = picture(8, 6);
        wanted.styles[0].picture = picture(3, 3);
        assert_eq!(carried(&own, &wanted), (vec![SourceId::Content, SourceId::Style(0)], vec![]));
        wanted.content = picture(6, 8);
        assert_eq!(carried(&own, &wanted), (vec![SourceId::Style(0)], vec![OptionName::Content]));
    }

    #[test]
    fn what_was_not_there_waits_for_a_new_start() {
        let own = ingredients();
        let mut wanted = own.clone();
        wanted.content_mask = Some(picture(2, 2));
        wanted.strength_map = Some(picture(2, 2));
        wanted.styles[0].weight = 2.0;
        let waiting = vec![OptionName::ContentMask, OptionName::StyleWeights, OptionName::StrengthMap];
        assert_eq!(carried(&own, &wanted), (vec![], waiting));
        let mut wanted = own.clone();
        wanted.styles.push(style());
        assert_eq!(carried(&own, &wanted), (vec![], vec![OptionName::Style]));
        let mut wanted = own.clone();
        wanted.styles[0].mask = Some(picture(2, 2));
        assert_eq!(carried(&own, &wanted), (vec![], vec![OptionName::StyleMask]));
    }

    #[test]
    fn masks_go_over_where_there_are_masks() {
        let mut own = ingredients();
        own.styles.push(style());
        own.content_mask = Some(picture(2, 2));
        own.strength_map = Some(picture(2, 2));
        let mut wanted = own.clone();
        wanted.content_mask = Some(picture(2, 2));
        wanted.strength_map = Some(picture(3, 2));
        let both = [SourceId::StyleMask(0), SourceId::StyleMask(1)];
        assert_eq!(carried(&own, &wanted), ([&both[..], &[SourceId::StrengthMap]].concat(), vec![]));
        // Under the mask of the content, a style's own one may come.
        let mut wanted = own.clone();
        wanted.styles[1].mask = Some(picture(2, 2));
        assert_eq!(carried(&own, &wanted), (vec![SourceId::StyleMask(1)], vec![]));
        let Ok(sources) = wanted.sources() else { unreachable!() };
        assert!(both.into_iter().all(|id| source(&sources, id).is_some()));
        assert!(wanted.layouts().styles.iter().all(|style| style.mask.is_some()));
    }
}

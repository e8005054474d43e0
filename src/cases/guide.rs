//! Cases of guidance.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, MANY, NONE, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, bytes, finish, plane, size};
use crate::ops::Shape;
use crate::ops::guide::{Blend, Brightness, Guide, GuideBackward, Scale, Strength, Union};
use crate::reference;

pub(super) static BRIGHTNESS: Family = Family {
    name: "guide_brightness",
    list: brightness,
    twin: |op, inputs, shapes| {
        op.downcast::<Brightness>()?;
        Some(Twin::new(reference::guide_brightness(&bytes(inputs[0]), plane(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Brightness>()?;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Rgba)], one_product()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static UNION: Family = Family {
    name: "guide_union",
    list: union,
    twin: |op, inputs, _| {
        op.downcast::<Union>()?;
        Some(Twin::new(reference::guide_union(inputs[0], inputs[1])))
    },
    of: |op, shapes| {
        op.downcast::<Union>()?;
        Some(OwnCase::new(vec![unit(shapes[0]), unit(shapes[1])], blend_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static STRENGTH: Family = Family {
    name: "guide_strength",
    list: strength,
    twin: |op, inputs, _| {
        let weights = match op.downcast::<Strength>()?.even {
            Some(even) => vec![even.into(); inputs[0].len()],
            None => inputs[1].to_vec(),
        };
        Some(Twin::new(reference::guide_strength(inputs[0], &weights)))
    },
    of: |op, shapes| {
        op.downcast::<Strength>()?;
        Some(OwnCase::new(shapes.iter().map(|shape| unit(*shape)).collect(), strength_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BLEND: Family = Family {
    name: "guide_blend",
    list: blend,
    twin: |op, inputs, shapes| {
        op.downcast::<Blend>()?;
        Some(Twin::new(reference::guide_blend(inputs[0], inputs[1], inputs[2], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Blend>()?;
        let inputs = vec![signed(shapes[0]), signed(shapes[1]), unit(shapes[2])];
        Some(OwnCase::new(inputs, blend_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static SCALE: Family = Family {
    name: "guide_scale",
    list: scale,
    twin: |op, inputs, _| {
        op.downcast::<Scale>()?;
        Some(Twin::new(reference::guide_scale(inputs[0], inputs[1])))
    },
    of: |op, shapes| {
        op.downcast::<Scale>()?;
        Some(OwnCase::new(vec![unit(shapes[0]), unit(shapes[1])], scale_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static FORWARD: Family = Family {
    name: "guide_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<Guide>()?;
        Some(Twin::new(reference::guide_forward(inputs[0], inputs[1], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Guide>()?;
        Some(OwnCase::new(vec![signed(shapes[0]), unit(shapes[1])], one_product()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "guide_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        let guide = op.downcast::<GuideBackward>()?;
        let dx = reference::guide_backward(inputs[0], inputs[1], size(shapes[0]));
        Some(finish(dx, guide.epilogue, &inputs[2..], shapes[0]))
    },
    of: |op, shapes| {
        let guide = op.downcast::<GuideBackward>()?;
        let own = vec![signed(shapes[0]), unit(shapes[1])];
        Some(OwnCase::new(own, one_product()).ending_in(guide.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// A plane of numbers from 0 to 1.
fn unit(shape: Shape) -> Input {
    input(shape, Fill::Between(0.0, 1.0))
}

fn one_product() -> Tolerance {
    Tolerance::few(1, 0.0)
}

fn scale_tolerance() -> Tolerance {
    // A root and a division.
    Tolerance::few(4, 0.0)
}

fn strength_tolerance() -> Tolerance {
    // A square and a division, and a tenth that is rounded.
    Tolerance::few(6, 0.0)
}

fn blend_tolerance() -> Tolerance {
    // Two products within ±1 that may cancel.
    Tolerance::few(2, 2.0)
}

/// The plane of the guidance of a tensor.
fn guidance(x: Shape) -> Shape {
    Shape { c: 1, ..x }
}

fn brightness() -> Vec<Case> {
    let planes = SIZES.into_iter().chain([MANY]).map(guidance);
    planes
        .map(|x| BRIGHTNESS.case(x.to_string(), Brightness, vec![input(x, Fill::Rgba)], one_product()))
        .collect()
}

fn union() -> Vec<Case> {
    let planes = SIZES.into_iter().chain([MANY]).map(guidance);
    planes.map(|x| UNION.case(x.to_string(), Union, vec![unit(x), unit(x)], blend_tolerance())).collect()
}

fn strength() -> Vec<Case> {
    let planes = SIZES.into_iter().chain([MANY]).map(guidance);
    let cases = planes.flat_map(|x| {
        let own = STRENGTH.case(
            x.to_string(),
            Strength { even: None },
            vec![unit(x), unit(x)],
            strength_tolerance(),
        );
        let even = Strength { even: Some(0.25) };
        [own, STRENGTH.case(format!("{x}, even"), even, vec![unit(x)], strength_tolerance())]
    });
    cases.collect()
}

fn blend() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]);
    cases
        .map(|x| {
            let inputs = vec![signed(x), signed(x), unit(guidance(x))];
            BLEND.case(x.to_string(), Blend, inputs, blend_tolerance())
        })
        .collect()
}

fn scale() -> Vec<Case> {
    let planes = SIZES.into_iter().chain([MANY]).map(guidance);
    let mut cases: Vec<Case> = planes
        .map(|x| SCALE.case(x.to_string(), Scale, vec![unit(x), unit(Shape::SCALAR)], scale_tolerance()))
        .collect();
    // Nothing is chosen.
    let (x, zero) = (Shape::new(1, 5, 7), input(Shape::SCALAR, Fill::Between(0.0, 0.0)));
    cases.push(SCALE.case(format!("{x}, black"), Scale, vec![unit(x), zero], scale_tolerance()));
    cases
}

fn forward() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]);
    cases
        .map(|x| FORWARD.case(x.to_string(), Guide, vec![signed(x), unit(guidance(x))], one_product()))
        .collect()
}

fn backward() -> Vec<Case> {
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH, ACCUMULATE, NONE];
    let cases = SIZES.into_iter().chain([MANY]).zip(epilogues).map(|(x, epilogue)| {
        let inputs = vec![signed(x), unit(guidance(x))];
        BACKWARD.backward(x.to_string(), GuideBackward { epilogue }, epilogue, inputs, x, one_product())
    });
    cases.collect()
}

//! Cases of square matrices.

use std::sync::Arc;

use super::case::{Case, Step};
use super::common::RELU;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, all_signed, input, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::matrix::{
    Covariance, FrobeniusNorm, MatrixAffine, MatrixProduct, Power, ScaleByPower, Symmetrise,
};
use crate::reference;

pub(super) static PRODUCT: Family = Family {
    name: "matrix_product",
    list: product,
    twin: |op, inputs, shapes| {
        let op = op.downcast::<MatrixProduct>()?;
        let (scale, identity) = (op.scale.into(), op.identity.into());
        let n = shapes[0].w as usize;
        let product = reference::matrix_product(inputs[0], inputs[1], n, scale, identity);
        Some(Twin::new(if op.symmetric { reference::matrix_mirrored(&product, n) } else { product }))
    },
    of: |op, shapes| {
        let op = op.downcast::<MatrixProduct>()?;
        Some(OwnCase::new(all_signed(shapes), product_tolerance(op, shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static AFFINE: Family = Family {
    name: "matrix_affine",
    list: affine,
    twin: |op, inputs, shapes| {
        let op = op.downcast::<MatrixAffine>()?;
        let n = shapes[0].w as usize;
        Some(Twin::new(reference::matrix_affine(inputs[0], n, op.scale.into(), op.identity.into())))
    },
    of: |op, shapes| {
        op.downcast::<MatrixAffine>()?;
        Some(OwnCase::new(all_signed(shapes), affine_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static SYMMETRISE: Family = Family {
    name: "matrix_symmetrise",
    list: symmetrise,
    twin: |op, inputs, shapes| {
        let Symmetrise { ridge } = op.downcast()?;
        let ridge = f64::from(*ridge);
        Some(Twin::new(reference::matrix_symmetrise(inputs[0], shapes[0].w as usize, ridge)))
    },
    of: |op, shapes| {
        op.downcast::<Symmetrise>()?;
        Some(OwnCase::new(all_signed(shapes), symmetrise_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static NORM: Family = Family {
    name: "matrix_norm",
    list: norm,
    twin: |op, inputs, _| {
        op.downcast::<FrobeniusNorm>()?;
        Some(Twin::new(reference::matrix_norm(inputs[0])))
    },
    of: |op, shapes| {
        op.downcast::<FrobeniusNorm>()?;
        Some(OwnCase::new(all_signed(shapes), norm_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static SCALE: Family = Family {
    name: "matrix_scale",
    list: scale,
    twin: |op, inputs, _| {
        let ScaleByPower { power } = op.downcast()?;
        let (root, inverse) = (*power != Power::Reciprocal, *power != Power::Root);
        Some(Twin::new(reference::matrix_scale(inputs[0], inputs[1], root, inverse)))
    },
    of: |op, shapes| {
        op.downcast::<ScaleByPower>()?;
        Some(OwnCase::new(vec![signed(shapes[0]), factor()], scale_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static COVARIANCE: Family = Family {
    name: "matrix_covariance",
    list: covariance,
    twin: |op, inputs, shapes| {
        op.downcast::<Covariance>()?;
        Some(Twin::new(reference::matrix_covariance(inputs[0], shapes[0].w as usize)))
    },
    of: |op, shapes| {
        op.downcast::<Covariance>()?;
        Some(OwnCase::new(all_signed(shapes), covariance_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn product_tolerance(op: &MatrixProduct, a: Shape) -> Tolerance {
    // The identity is one more term.
    Tolerance::sum(u64::from(a.w) + 1, f64::from(op.scale.abs().max(op.identity.abs())))
}

fn affine_tolerance() -> Tolerance {
    Tolerance::few(2, 2.0)
}

fn symmetrise_tolerance() -> Tolerance {
    // Elements are within ±1, and a trace within a few roots of n: times a ridge of at most 1/2, over n, less than 1.
    Tolerance::few(4, 2.0)
}

fn norm_tolerance(a: Shape) -> Tolerance {
    // At most 35 elements a thread, then 256 partials a lane, then a tree; and a root.
    Tolerance::positive_sum(54 + a.elements() / 2048)
}

fn scale_tolerance() -> Tolerance {
    // A root and a division.
    Tolerance::few(4, 0.0)
}

fn covariance_tolerance() -> Tolerance {
    // A product and a difference within ±1.
    Tolerance::few(2, 2.0)
}

/// A scalar above 0.
fn factor() -> Input {
    input(Shape::SCALAR, Fill::Between(0.5, 3.0))
}

fn square(n: u32) -> Shape {
    Shape::new(1, n, n)
}

/// Sizes that fill no tile and such that fill some, and one with several blocks of every kernel.
const ROWS: [u32; 6] = [1, 3, 17, 33, 64, 131];

fn product() -> Vec<Case> {
    let factors = [(1.0, 0.0), (1.0, 0.0), (-0.5, 1.5), (-1.0, 1.0), (1.0, 0.0), (-0.5, 1.5)];
    let of_rows = |symmetric| {
        ROWS.into_iter().zip(factors).map(move |(n, (scale, identity))| {
            let op = MatrixProduct { scale, identity, symmetric };
            let inputs = vec![signed(square(n)), signed(square(n))];
            let what = format!("{}{}", square(n), if symmetric { ", symmetric" } else { "" });
            PRODUCT.case(what, op, inputs, product_tolerance(&op, square(n)))
        })
    };
    // Symmetric ones of matrices whose product is not, so that what is below the diagonal is told from what is above.
    let mut cases: Vec<Case> = of_rows(false).chain(of_rows(true)).collect();
    // Of a computed matrix with itself.
    let op = MatrixProduct { scale: 1.0, identity: 0.0, symmetric: false };
    let (inputs, tolerance) = (vec![signed(square(35))], product_tolerance(&op, square(35)));
    let mut twice = PRODUCT.case(format!("{}, with itself", square(35)), op, inputs, tolerance);
    twice.steps[0].inputs = vec![1, 1];
    twice.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![0] });
    cases.push(twice);
    cases
}

fn affine() -> Vec<Case> {
    ROWS.map(|n| {
        let op = MatrixAffine { scale: -0.5, identity: 1.5 };
        AFFINE.case(square(n).to_string(), op, vec![signed(square(n))], affine_tolerance())
    })
    .into()
}

fn symmetrise() -> Vec<Case> {
    ROWS.map(|n| {
        let op = Symmetrise { ridge: if n == 17 { 0.0 } else { 0.375 } };
        SYMMETRISE.case(square(n).to_string(), op, vec![signed(square(n))], symmetrise_tolerance())
    })
    .into()
}

fn norm() -> Vec<Case> {
    ROWS.map(|n| {
        let inputs = vec![signed(square(n))];
        NORM.case(square(n).to_string(), FrobeniusNorm, inputs, norm_tolerance(square(n)))
    })
    .into()
}

fn scale() -> Vec<Case> {
    let powers = [Power::Root, Power::Reciprocal, Power::ReciprocalRoot];
    let cases = ROWS.into_iter().zip(powers.into_iter().cycle()).map(|(n, power)| {
        let inputs = vec![signed(square(n)), factor()];
        SCALE.case(format!("{}, {power:?}", square(n)), ScaleByPower { power }, inputs, scale_tolerance())
    });
    let zero = powers.map(|power| {
        let inputs = vec![signed(square(5)), input(Shape::SCALAR, Fill::Between(0.0, 0.0))];
        let what = format!("{}, {power:?} of 0", square(5));
        SCALE.case(what, ScaleByPower { power }, inputs, scale_tolerance())
    });
    cases.chain(zero).collect()
}

fn covariance() -> Vec<Case> {
    ROWS.map(|n| {
        let inputs = vec![signed(Shape::new(1, n + 1, n))];
        COVARIANCE.case(square(n).to_string(), Covariance, inputs, covariance_tolerance())
    })
    .into()
}

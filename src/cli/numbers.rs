//! Numbers of single precision, as options have them.

/// Reads a number of single precision.
pub(super) fn number(text: &str) -> Result<f32, String> {
    let text = text.trim();
    let number: f32 = match (text.parse(), text.replace(',', ".").parse::<f32>()) {
        (Ok(number), _) => number,
        (Err(_), Ok(_)) => return Err(format!("the decimal sign is a point: {}", text.replace(',', "."))),
        (Err(_), Err(_)) => return Err(format!("{text:?} is not a number")),
    };
    // What is in front of the exponent.
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    if number.is_infinite() && digits.contains(|sign: char| sign.is_ascii_digit()) {
        return Err(format!("{text} is too large; the largest number is {:e}", f32::MAX));
    }
    if number == 0.0 && digits.contains(|sign| ('1'..='9').contains(&sign)) {
        return Err(format!("{text} is too small to be told from 0; write 0, or a larger number"));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_fit_or_are_named() {
        for (text, value) in
            [("0.5", 0.5), (" -2e-3 ", -2e-3), ("3.4e38", 3.4e38), ("0e5", 0.0), ("-0.00", 0.0)]
        {
            assert_eq!(number(text), Ok(value));
        }
        // What is wrong with these is said by the option.
        assert!(number("nan").unwrap().is_nan() && number("inf").unwrap().is_infinite());
        for (text, reason) in [
            ("1e40", "1e40 is too large; the largest number is 3.4028235e38"),
            ("-9e99", "-9e99 is too large"),
            ("1e400", "1e400 is too large"),
            ("1e-60", "1e-60 is too small to be told from 0"),
            ("0,5", "the decimal sign is a point: 0.5"),
            ("much", "\"much\" is not a number"),
            ("", "\"\" is not a number"),
        ] {
            assert!(number(text).unwrap_err().contains(reason), "{text}");
        }
    }
}

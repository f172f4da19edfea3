//! A colour in the settings: a name or `#rrggbb`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Color(pub u8, pub u8, pub u8);

/// The CSS names that are understood.
const NAMES: [(&str, Color); 20] = [
    ("black", Color(0, 0, 0)),
    ("blue", Color(0, 0, 255)),
    ("crimson", Color(220, 20, 60)),
    ("gold", Color(255, 215, 0)),
    ("gray", Color(128, 128, 128)),
    ("green", Color(0, 128, 0)),
    ("grey", Color(128, 128, 128)),
    ("magenta", Color(255, 0, 255)),
    ("navy", Color(0, 0, 128)),
    ("orange", Color(255, 165, 0)),
    ("pink", Color(255, 192, 203)),
    ("purple", Color(128, 0, 128)),
    ("red", Color(255, 0, 0)),
    ("salmon", Color(250, 128, 114)),
    ("skyblue", Color(135, 206, 235)),
    ("steelblue", Color(70, 130, 180)),
    ("teal", Color(0, 128, 128)),
    ("tomato", Color(255, 99, 71)),
    ("turquoise", Color(64, 224, 208)),
    ("yellow", Color(255, 255, 0)),
];

/// A colour that is neither a known name nor `#rrggbb`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a colour: give `#rrggbb` or one of {names}", names = names())]
pub struct UnknownColor(String);

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl FromStr for Color {
    type Err = UnknownColor;

    fn from_str(text: &str) -> Result<Self, UnknownColor> {
        let lower = text.trim().to_ascii_lowercase();
        NAMES
            .iter()
            .find(|(name, _)| *name == lower)
            .map(|&(_, color)| color)
            .or_else(|| hexadecimal(&lower))
            .ok_or_else(|| UnknownColor(text.to_owned()))
    }
}

fn hexadecimal(text: &str) -> Option<Color> {
    let digits = text.strip_prefix('#').filter(|digits| {
        digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some(Color(red, green, blue))
}

impl TryFrom<String> for Color {
    type Error = UnknownColor;

    fn try_from(text: String) -> Result<Self, UnknownColor> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        color.to_string()
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, color)| color == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hexadecimal_are_understood_and_written_back() {
        assert_eq!("Orange".parse(), Ok(Color(255, 165, 0)));
        assert_eq!("#12aBff".parse(), Ok(Color(0x12, 0xab, 0xff)));
        for (_, color) in NAMES {
            assert_eq!(color.to_string().parse(), Ok(color));
        }
        assert_eq!(Color(1, 2, 3).to_string(), "#010203");
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in ["", "#12", "#gggggg", "#+12345", "oranje", "#ééé"] {
            let error = text.parse::<Color>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{text}`")) && error.contains("orange"),
                "{error}"
            );
        }
    }
}

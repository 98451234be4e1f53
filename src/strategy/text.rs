//! Serialising what has a text of its own as that text.

/// Lets serde write a type as it displays itself and read it as it parses;
/// the type carries `#[serde(try_from = "String", into = "String")]`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = <$type as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}

pub(super) use serde_as_text;

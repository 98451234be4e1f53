//! The bulky part of an event (a training curve, a raw measurement) as deflated
//! JSON. A curve of epochs is a list of values for each, without the names: they
//! would be half of it.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use serde_json::{Map, Value};

/// Texts shorter than this do not get smaller by deflating.
const PACKED_BYTES: usize = 100;

/// The fields of an epoch, in the order of its values.
const EPOCH: [&str; 5] = [
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_accuracy",
    "seconds",
];

/// Stands before a list of epochs without names. No JSON text begins with it.
const EPOCHS: u8 = b'E';

/// Larger parts are taken to be broken: a bomb should not fill the memory.
const LARGEST_BYTES: usize = 1 << 30;

/// Packs a value; none where it is too short to gain by it.
pub(super) fn pack(value: &Value) -> std::io::Result<Option<Vec<u8>>> {
    let text = value.to_string();
    if text.len() < PACKED_BYTES {
        return Ok(None);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    match epochs(value) {
        Some(epochs) => {
            encoder.write_all(&[EPOCHS])?;
            encoder.write_all(epochs.to_string().as_bytes())?;
        }
        None => encoder.write_all(text.as_bytes())?,
    }
    encoder.finish().map(Some)
}

/// The values of a list of epochs; none where it is anything else.
fn epochs(value: &Value) -> Option<Value> {
    let values = |epoch: &Value| {
        let fields = epoch.as_object().filter(|f| f.len() == EPOCH.len())?;
        let values = EPOCH.iter().map(|name| fields.get(*name).cloned());
        values.collect::<Option<_>>().map(Value::Array)
    };
    let epochs = value.as_array()?.iter().map(values);
    epochs.collect::<Option<_>>().map(Value::Array)
}

fn with_names(epochs: Value) -> Option<Value> {
    let Value::Array(epochs) = epochs else {
        return None;
    };
    let epoch = |values: Value| match values {
        Value::Array(values) if values.len() == EPOCH.len() => {
            let names = EPOCH.iter().map(|name| (*name).to_owned());
            Some(Value::Object(names.zip(values).collect::<Map<_, _>>()))
        }
        _ => None,
    };
    let epochs = epochs.into_iter().map(epoch);
    epochs.collect::<Option<_>>().map(Value::Array)
}

/// Unpacks values, one after the other, in the same memory.
pub(super) struct Unpacker {
    inflate: Decompress,
    text: Vec<u8>,
}

impl Unpacker {
    pub fn new() -> Self {
        Unpacker {
            inflate: Decompress::new(true),
            text: Vec::with_capacity(1024),
        }
    }

    /// The value as it was before [`pack`].
    pub fn unpack(&mut self, packed: &[u8]) -> Result<Value, String> {
        loop {
            self.inflate.reset(true);
            self.text.clear();
            // All at once, which needs no window of what came before.
            let status = self
                .inflate
                .decompress_vec(packed, &mut self.text, FlushDecompress::Finish)
                .map_err(|e| e.to_string())?;
            match (status, self.text.capacity()) {
                (Status::StreamEnd, _) => break,
                (_, room) if self.text.len() < room => return Err("it is cut short".into()),
                (_, room) if room > LARGEST_BYTES => return Err("it is too large".into()),
                (_, room) => self.text.reserve(2 * room),
            }
        }
        let parse = |text: &[u8]| serde_json::from_slice(text).map_err(|e| e.to_string());
        match self.text.split_first() {
            Some((&EPOCHS, rest)) => {
                with_names(parse(rest)?).ok_or_else(|| "it is no list of epochs".into())
            }
            _ => parse(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn epoch(number: u32) -> Value {
        json!({"epoch": number, "train_loss": 0.1 * f64::from(number), "train_accuracy": 0.5,
               "validation_accuracy": null, "seconds": 0.123_456_789})
    }

    #[test]
    fn what_is_packed_comes_back_whatever_it_is() {
        let mut values = vec![
            json!([epoch(1), epoch(2)]),
            json!([]),
            json!("E"),
            json!(vec![[1, 2, 3, 4, 5]; 40]),
            json!({"samples_ms": (0..40_000).map(|n| f64::from(n) / 7.0).collect::<Vec<_>>()}),
        ];
        let mut more = epoch(3);
        more["lr"] = json!(0.1);
        values.push(json!([epoch(1), epoch(2), more]));
        let mut unpacker = Unpacker::new();
        for value in values {
            match pack(&value).unwrap() {
                Some(packed) => assert_eq!(unpacker.unpack(&packed).unwrap(), value),
                None => assert!(value.to_string().len() < PACKED_BYTES),
            }
        }
    }

    #[test]
    fn curves_take_half_of_what_their_text_would() {
        let curve = json!((1..=20).map(epoch).collect::<Vec<_>>());
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(curve.to_string().as_bytes()).unwrap();
        let packed = pack(&curve).unwrap().unwrap();
        assert!(packed.len() < encoder.finish().unwrap().len());
    }

    #[test]
    fn what_is_broken_is_said_to_be() {
        let mut unpacker = Unpacker::new();
        let packed = pack(&json!(vec![0.25; 500])).unwrap().unwrap();
        for end in 0..packed.len() {
            unpacker.unpack(&packed[..end]).unwrap_err();
        }
        unpacker.unpack(b"no deflated text").unwrap_err();
        assert_eq!(unpacker.unpack(&packed).unwrap(), json!(vec![0.25; 500]));
    }
}

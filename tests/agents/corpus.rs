//! The fuzzer's corpus, without the fuzzer.

#[path = "../../fuzz/checks/protocol.rs"]
mod protocol;

use proptest::prelude::*;

fn corpus() -> Vec<Vec<u8>> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/protocol");
    let entries = std::fs::read_dir(corpus).expect("the corpus is in the repository");
    let read = |e: std::io::Result<std::fs::DirEntry>| std::fs::read(e.expect("readable").path());
    entries.map(|e| read(e).expect("readable")).collect()
}

#[test]
fn no_bytes_of_the_corpus_do_harm() {
    let corpus = corpus();
    assert!(corpus.len() >= 10, "only {} files", corpus.len());
    for bytes in corpus {
        protocol::hear(&bytes);
        // Cut off anywhere, and a byte changed here and there.
        for cut in (0..bytes.len()).step_by(97) {
            protocol::hear(&bytes[..cut]);
            let mut changed = bytes.clone();
            changed[cut] ^= 0x15;
            protocol::hear(&changed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Messages spliced, with pieces replaced, under lengths that are right.
    #[test]
    fn no_mixture_of_messages_does_harm(
        parts in prop::collection::vec((any::<u16>(), any::<u16>(), any::<u16>()), 1..6),
        noise in prop::collection::vec((any::<u16>(), any::<u8>()), 0..8),
    ) {
        let corpus = corpus();
        let mut body = Vec::new();
        for (file, from, length) in parts {
            let bytes = &corpus[file as usize % corpus.len()];
            let from = from as usize % bytes.len();
            let to = (from + length as usize % 400).min(bytes.len());
            body.extend_from_slice(&bytes[from..to]);
        }
        for (place, byte) in noise {
            let length = body.len().max(1);
            if let Some(b) = body.get_mut(place as usize % length) {
                *b = byte;
            }
        }
        protocol::hear(&body);
        let mut framed = vec![255];
        framed.extend((body.len() as u32).to_be_bytes());
        framed.extend(&body);
        protocol::hear(&framed);
    }
}

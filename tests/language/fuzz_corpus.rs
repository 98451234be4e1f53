//! The fuzzer's corpus, without the fuzzer: no text in it makes the parser or
//! the checker panic or run away.

use bespoke::space::Space;

#[test]
fn no_text_of_the_corpus_panics() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/space");
    let mut read = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is in the repository") {
        let bytes = std::fs::read(entry.expect("readable").path()).expect("readable");
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(space) = Space::parse("corpus", &text) {
            let first = space.unrank(&num_bigint::BigUint::default());
            space.network(&first).expect("a checked space builds");
            assert!(space.drawing().ends_with("</svg>"));
        }
        read += 1;
    }
    assert!(read >= 4, "only {read} files");
}

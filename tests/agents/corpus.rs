//! The fuzzer's corpus, without the fuzzer.

#[path = "../../fuzz/checks/protocol.rs"]
mod protocol;

#[test]
fn no_bytes_of_the_corpus_do_harm() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/protocol");
    let mut read = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is in the repository") {
        let bytes = std::fs::read(entry.expect("readable").path()).expect("readable");
        protocol::hear(&bytes);
        // Cut off anywhere, and a byte changed here and there.
        for cut in (0..bytes.len()).step_by(97) {
            protocol::hear(&bytes[..cut]);
            let mut changed = bytes.clone();
            changed[cut] ^= 0x15;
            protocol::hear(&changed);
        }
        read += 1;
    }
    assert!(read >= 10, "only {read} files");
}

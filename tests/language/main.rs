//! The search-space language over all that is written in it: the shipped spaces,
//! the documents, the fuzzer's corpus.

mod documented_spaces;
#[path = "../documents/mod.rs"]
mod documents;
mod fuzz_corpus;
mod pinned_hashes;
mod published;
#[cfg(feature = "predict")]
mod tables;

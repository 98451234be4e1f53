//! Listings in Markdown files. A search space stands in a fence marked `space`,
//! which may give it a file name, and `error` where it is meant to be wrong:
//! "space wrong.space error". Commands with their output stand in `console`.

use std::path::{Path, PathBuf};

/// What stands between two fences.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The words after the opening fence.
    pub marks: Vec<String>,
    pub text: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Listings in order.
pub fn listings(path: &Path) -> Vec<Listing> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut listings = Vec::new();
    let mut open: Option<Listing> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(marks), None) => {
                open = Some(Listing {
                    marks: marks.split_whitespace().map(str::to_string).collect(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => listings.extend(open.take()),
            (None, Some(listing)) => listing.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a fence is open", path.display());
    listings
}

/// The file a listing stands for.
pub fn file_name(listing: &Listing) -> Option<PathBuf> {
    let space = listing.marks.first().is_some_and(|m| m == "space");
    let name = listing.marks.iter().skip(1).find(|m| m.ends_with(".space"));
    name.filter(|_| space).map(PathBuf::from)
}

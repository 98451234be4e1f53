//! Every search space printed in the documents is one: it parses, fits, and is
//! laid out in the standard way.

use std::path::{Path, PathBuf};

use crate::documents::{Listing, file_name, listings, root};
use bespoke::space::{Source, Space, format};

fn check(document: &Path, listing: &Listing, all: &[Listing]) {
    let text = &listing.text;
    let name = file_name(listing).unwrap_or("listing.space".into());
    let place = format!("{}: {}", document.display(), name.display());
    assert_eq!(
        &format(text).unwrap(),
        text,
        "{place}: not in the standard layout"
    );
    let mut import = |from: &str, path: &str| {
        let wanted = Path::new(from).with_file_name(path);
        let found = all.iter().find(|l| file_name(l).as_ref() == Some(&wanted));
        let text = match found {
            Some(listing) => Ok(listing.text.clone()),
            None => std::fs::read_to_string(root().join("search-spaces").join(path)),
        };
        let name = wanted.display().to_string();
        text.map(|text| Source { name, text })
            .map_err(|e| e.to_string())
    };
    // A library is checked where it is imported.
    if text.starts_with("library") {
        let import = format!("import \"{}\"", name.display());
        let used = all.iter().any(|l| l.text.contains(&import));
        assert!(used, "{place}: no listing imports it");
        return;
    }
    let wrong = listing.marks.iter().any(|m| m == "error");
    match Space::parse_with(&name.display().to_string(), text, &mut import) {
        Ok(_) => assert!(!wrong, "{place}: should be wrong"),
        Err(error) => assert!(wrong, "{place}: {:?}", miette::Report::new(*error)),
    }
}

fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    docs.chain([root().join("README.md"), root().join("editors/README.md")])
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect()
}

#[test]
fn every_space_in_the_documents_is_one() {
    let mut spaces = 0;
    for document in documents() {
        let all = listings(&document);
        for listing in &all {
            let marked = listing.marks.first().is_some_and(|m| m == "space");
            let looks = ["space ", "library "]
                .iter()
                .any(|w| listing.text.starts_with(w));
            let shown = document.display();
            assert_eq!(
                marked, looks,
                "{shown}: mark this fence `space`, or not:\n{}",
                listing.text
            );
            if marked {
                check(&document, listing, &all);
                spaces += 1;
            }
        }
    }
    assert!(spaces >= 12, "{spaces} spaces");
}

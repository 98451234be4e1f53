//! Hashes are names: recorded runs know their space by its hash and their
//! networks by theirs, and `search --resume` refuses a space whose hash has
//! changed. So they must not change between versions by accident. This table
//! pins them, for every file in `search-spaces/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bespoke::space::Space;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

const TABLE: &str = "tests/data/hashes.tsv";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is pinned of one space.
#[derive(Debug, Clone, PartialEq)]
struct Pinned {
    /// SHA-256 of the text with its imports: tells an edited file from code that
    /// hashes otherwise.
    source: String,
    space: String,
    /// Genotypes and the hashes of their networks.
    networks: Vec<(String, String)>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("search-spaces"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "space"))
        .collect();
    files.sort();
    files
}

fn load(path: &Path) -> Space {
    Space::load(path).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)))
}

fn network_hash(space: &Space, genotype: &str) -> Option<String> {
    let architecture = space.parse_genotype(genotype).ok()?;
    Some(space.network(&architecture).ok()?.hash().to_string())
}

/// The state of a space now: the genotypes pinned where it still has them, or
/// the first architecture and two at random.
fn now(space: &Space, pinned: Option<&Pinned>) -> Pinned {
    let kept = pinned.and_then(|pinned| {
        let hashed = |(genotype, _): &(String, String)| {
            Some((genotype.clone(), network_hash(space, genotype)?))
        };
        pinned.networks.iter().map(hashed).collect()
    });
    let fresh = || {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut architectures = vec![space.unrank(&num_bigint::BigUint::default())];
        architectures.extend((0..2).map(|_| space.sample(&mut rng)));
        let row = |a| {
            let hash = space.network(a).unwrap().hash().to_string();
            (space.genotype(a), hash)
        };
        architectures.iter().map(row).collect()
    };
    let digest = Sha256::digest(space.text());
    Pinned {
        source: digest.iter().take(8).map(|b| format!("{b:02x}")).collect(),
        space: space.hash().to_string(),
        networks: kept.unwrap_or_else(fresh),
    }
}

/// The version that set the table, and its rows by file.
fn read_table() -> (String, BTreeMap<String, Pinned>) {
    let text = std::fs::read_to_string(root().join(TABLE)).unwrap_or_default();
    let mut version = VERSION.to_string();
    let mut rows: BTreeMap<String, Pinned> = BTreeMap::new();
    for line in text.lines() {
        if let Some(set_by) = line.strip_prefix("# hashes of bespoke ") {
            version = set_by.to_string();
        }
        if line.starts_with('#') {
            continue;
        }
        let [file, source, space, network, genotype] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("{TABLE}: `{line}` does not have five columns");
        };
        let row = rows.entry(file.to_string()).or_insert_with(|| Pinned {
            source: source.into(),
            space: space.into(),
            networks: Vec::new(),
        });
        row.networks.push((genotype.into(), network.into()));
    }
    (version, rows)
}

fn write_table(rows: &BTreeMap<String, Pinned>) {
    let mut text = format!(
        "# hashes of bespoke {VERSION}\n\
         # file, source, space hash, network hash, genotype; see tests/language/pinned_hashes.rs\n"
    );
    for (file, row) in rows {
        for (genotype, network) in &row.networks {
            let columns = [file, &row.source, &row.space, network, genotype];
            text += &(columns.map(String::as_str).join("\t") + "\n");
        }
    }
    std::fs::write(root().join(TABLE), text).unwrap();
}

/// What to do about a file whose hashes are not the pinned ones; nothing where
/// they are, or where the table is to be written and may be.
fn verdict(file: &str, old: Option<&Pinned>, new: &Pinned, version: &str, update: bool) -> String {
    match old {
        Some(old) if old == new => String::new(),
        Some(old) if old.source == new.source && version == VERSION => format!(
            "{file}: the hashes changed though the file did not:\n  pinned {old:?}\n  now    \
             {new:?}\nRuns recorded by bespoke {version} would no longer be recognised. If this \
             is not meant, find what changed how spaces or networks are hashed. If it is, raise \
             the version in Cargo.toml, say so in CHANGELOG.md, and run this test with \
             BESPOKE_UPDATE=1.\n"
        ),
        _ if update => String::new(),
        _ => format!(
            "{file} is new or edited, or the version was raised: run this test with \
             BESPOKE_UPDATE=1 and commit {TABLE}.\n"
        ),
    }
}

#[test]
fn hashes_stay_the_same_between_versions() {
    let (version, pinned) = read_table();
    let update = std::env::var_os("BESPOKE_UPDATE").is_some();
    let mut rows = BTreeMap::new();
    let mut problems = String::new();
    for path in files() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let old = pinned.get(&file);
        let new = now(&load(&path), old);
        problems += &verdict(&file, old, &new, &version, update);
        rows.insert(file, new);
    }
    let gone: Vec<&String> = pinned.keys().filter(|f| !rows.contains_key(*f)).collect();
    if !gone.is_empty() && !update {
        problems += &format!("{gone:?} are in {TABLE} but not in search-spaces/\n");
    }
    assert!(problems.is_empty(), "{problems}");
    assert!(rows.len() >= 14, "{} files", rows.len());
    if update {
        write_table(&rows);
    }
}

#[test]
fn a_silent_change_is_refused_and_an_edited_file_is_not() {
    let row = |source: &str, space: &str| Pinned {
        source: source.into(),
        space: space.into(),
        networks: Vec::new(),
    };
    let (old, rehashed, edited) = (row("a", "1"), row("a", "2"), row("b", "2"));
    for update in [false, true] {
        let message = verdict("x", Some(&old), &rehashed, VERSION, update);
        assert!(
            message.contains("raise the version in Cargo.toml"),
            "{message}"
        );
        assert_eq!(verdict("x", Some(&old), &old, VERSION, update), "");
    }
    assert_eq!(verdict("x", Some(&old), &rehashed, "0.0.0", true), "");
    assert_eq!(verdict("x", Some(&old), &edited, VERSION, true), "");
    assert_eq!(verdict("x", None, &old, VERSION, true), "");
    assert!(verdict("x", Some(&old), &edited, VERSION, false).contains("BESPOKE_UPDATE"));
}

#[test]
fn canonical_text_is_the_same_space_with_the_same_networks() {
    let (_, pinned) = read_table();
    for path in files() {
        let space = load(&path);
        let canonical = space.canonical();
        let again = Space::parse("canonical", &canonical)
            .unwrap_or_else(|e| panic!("{canonical}\n{:?}", miette::Report::new(*e)));
        assert_eq!(again.hash(), space.hash(), "{}", path.display());
        assert_eq!(again.canonical(), canonical);
        assert_eq!(again.count(), space.count());
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for (genotype, network) in &pinned[&file].networks {
            assert_eq!(network_hash(&again, genotype).as_ref(), Some(network));
        }
    }
}

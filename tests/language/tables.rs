//! The files in `search-spaces/`: each checks, and those of a benchmark read and
//! write its notation. What papers publish of them is in `spaces_published`.

use std::path::{Path, PathBuf};

use bespoke::predict::tables::{LatencyTable, TableSpace};
use bespoke::space::Space;
use bespoke::space::codec::Codec;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("search-spaces")
}

fn load(name: &str) -> Space {
    let path = directory().join(format!("{name}.space"));
    Space::load(&path).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)))
}

#[test]
fn every_file_checks_and_its_genotypes_round_trip() {
    let mut files = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "space") {
            continue;
        }
        let space = Space::load(&path).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let a = space.sample(&mut rng);
            let genotype = space.genotype(&a);
            assert_eq!(space.parse_genotype(&genotype).as_ref(), Ok(&a));
            assert!(space.admits(&a), "{genotype}");
            let mutant = space.mutate(&a, &mut rng);
            assert!(space.admits(&mutant), "{}", space.genotype(&mutant));
        }
        files += 1;
    }
    assert!(files >= 15, "{files} files");
}

/// Reads and writes every row of a benchmark's table and holds the networks
/// against those the predictor was trained on.
fn check_table(codec: Codec, table: TableSpace, space: &str) {
    let space = load(space);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data");
    let rows = LatencyTable::read(&data, table).unwrap().architectures;
    assert!(rows.len() >= 4_000, "{} rows", rows.len());
    for (index, row) in rows.iter().enumerate() {
        let architecture = codec.decode(&space, row).unwrap();
        let written = codec.encode(&space, &architecture).unwrap();
        // Once-for-all's rows also hold numbers of blocks that are not used.
        match codec {
            Codec::Ofa => assert_eq!(codec.decode(&space, &written).unwrap(), architecture),
            _ => assert_eq!(&written, row),
        }
        if index % 50 == 0 {
            // What the predictor takes for this row.
            let theirs = table.network(row).unwrap().simplify();
            let ours = space.network(&architecture).unwrap();
            assert_eq!(ours.hash(), theirs.hash(), "{row}");
        }
    }
}

#[test]
fn all_nasbench201_strings_are_read_and_written() {
    check_table(Codec::NasBench201, TableSpace::NasBench201, "nasbench201");
}

#[test]
fn fbnet_rows_are_read_and_written() {
    check_table(Codec::FbNet, TableSpace::FbNet, "fbnet");
}

#[test]
fn ofa_rows_are_read_and_written() {
    check_table(Codec::Ofa, TableSpace::Ofa, "ofa-mobilenetv3");
}

#[test]
fn wrong_rows_say_what_is_wrong() {
    let nb201 = load("nasbench201");
    let read = |codec: Codec, text: &str| codec.decode(&nb201, text).unwrap_err().to_string();
    for (codec, text, reason) in [
        (
            Codec::NasBench201,
            "|none~0|",
            "it has 1 nodes where 3 are needed",
        ),
        (
            Codec::NasBench201,
            "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|",
            "edge `none~0` should come from node 1",
        ),
        (
            Codec::NasBench201,
            "|nor~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "`nor` is not one of the five operators",
        ),
        (
            Codec::NasBench201,
            "|none~0|+none~0|none~1|+|none~0|none~1|none~2|",
            "`none~0|none~1|` does not stand between bars",
        ),
        (
            Codec::FbNet,
            "1 2 9",
            "it has 3 numbers where 22 are needed",
        ),
        (
            Codec::Ofa,
            r#"{"ks":[],"e":[],"d":[],"r":1}"#,
            "it needs 20 kernels, 20 expansions and 5 depths",
        ),
    ] {
        let message = read(codec, text);
        assert!(message.ends_with(reason), "{message}");
    }
    let other = read(Codec::FbNet, &"1 ".repeat(22));
    assert!(
        other.contains("the space `nasbench201` is not the one"),
        "{other}"
    );
    let architecture = nb201.sample(&mut ChaCha8Rng::seed_from_u64(0));
    assert!(Codec::Ofa.encode(&nb201, &architecture).is_err());
}

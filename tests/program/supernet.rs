//! Supernets and differentiable searches as a user runs them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell::{bespoke, done, err, events, json, refused};

/// A space of a few small networks.
const SMALL: &str = "space small
input image 1x28x28
classes 10

block unit(out) {
  choose {
      wide => conv3x3(out) bn relu
    | deep => depthwise({3, 5}) bn relu conv1x1(out) bn relu
    | skip
  }
}

network {
  conv3x3(8, stride 4) bn relu
  stage s { repeat 3 { unit(8) } }
  conv1x1({8, 16, 24}) bn relu
  pool avg global
  linear(classes)
}
";

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let space = dir.path().join("small.space");
    std::fs::write(&space, SMALL).unwrap();
    (dir, space)
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn a_supernet_is_trained_ranked_and_networks_are_taken_out() {
    let (dir, space) = place();
    let (space, file) = (space.display(), dir.path().join("small.supernet"));
    let file = file.display();
    let train = format!(
        "supernet train {space} --out {file} --epochs 10 --train-images 1000 --batch-size 32 --distill"
    );
    done(&bespoke(&words(&train)));
    let ranked = json(&bespoke(&words(&format!(
        "supernet rank {file} -n 4 --alone 1 --json"
    ))));
    assert_eq!(ranked["architectures"].as_array().unwrap().len(), 4);
    let best = &ranked["architectures"][0];
    assert!(best["inherited"].as_f64().unwrap() > 0.3, "{ranked}");
    assert!(best["alone"].as_f64().is_some() && ranked["spearman"].as_f64().is_some());
    let genotype = best["genotype"].as_str().unwrap();
    let stem = dir.path().join("best.of.four");
    let extract = format!(
        "supernet extract {file} --fine-tune 1 --out {}",
        stem.display()
    );
    let mut args = words(&extract);
    args.extend(["--genotype", genotype]);
    let said = done(&bespoke(&args));
    assert!(
        said.contains("inherited: ") && said.contains("test: "),
        "{said}"
    );
    for ending in ["onnx", "safetensors"] {
        let path = format!("{}.{ending}", stem.display());
        assert!(Path::new(&path).metadata().unwrap().len() > 1000);
    }
    // What was trained goes on, to no effect where nothing is left.
    done(&bespoke(&words(&format!("{train} --resume"))));

    let other = dir.path().join("other.space");
    std::fs::write(&other, SMALL.replace("24}", "32}")).unwrap();
    let other = train.replace("small.space", "other.space") + " --resume";
    refused(&bespoke(&words(&other)), &["a supernet of another space"]);
    refused(
        &bespoke(&words(&format!("supernet rank {space}"))),
        &["is no supernet"],
    );
    refused(
        &bespoke(&words(&format!(
            "supernet train {space} --out {file} --epochs 0"
        ))),
        &["`epochs` must be at least 1"],
    );
    let unknown = bespoke(&words(&format!(
        "supernet train {space} --out {file} --sampling fairest"
    )));
    refused(
        &unknown,
        &["choose among uniform, fair, sandwich, progressive"],
    );
}

/// Runs a search of a few small trainings; `more` are further flags.
fn search(dir: &Path, space: &Path, more: &str) -> std::process::Output {
    search_with(dir, space, "", more)
}

fn search_with(dir: &Path, space: &Path, toml: &str, more: &str) -> std::process::Output {
    let file = dir.join("e.toml");
    std::fs::write(&file, format!("other_engines = []\n{toml}")).unwrap();
    let text = format!(
        "search {} --db {} --space {} --train-images 300 --epochs 1 --final-epochs 1 --references 4 \
         --search-epochs 4 {more}",
        file.display(),
        db(dir),
        space.display()
    );
    bespoke(&words(&text))
}

fn db(dir: &Path) -> String {
    dir.join("runs.db").display().to_string()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["kind"] == kind).collect()
}

#[test]
fn a_differentiable_search_ends_in_a_front() {
    let (dir, space) = place();
    let db = db(dir.path());
    done(&search(
        dir.path(),
        &space,
        "--strategy gdas --trials 2 --latency-weight 0.5",
    ));
    let events = events(&db, dir.path());
    let evaluated = of_kind(&events, "evaluated");
    assert_eq!(evaluated.len(), 4);
    let artefacts: Vec<&str> = of_kind(&events, "artefact")
        .iter()
        .filter_map(|a| a["name"].as_str())
        .collect();
    assert!(
        artefacts.contains(&"differentiable-1.json"),
        "{artefacts:?}"
    );
    let front = json(&bespoke(&[
        "runs", "--db", &db, "front", "latest", "--json",
    ]));
    assert!(!front.as_array().unwrap().is_empty());
}

#[test]
fn a_target_latency_is_measured() {
    let (dir, space) = place();
    let device = crate::survival::device(dir.path());
    let device = device.display();
    let db = db(dir.path());
    // What the space's networks take on this device.
    let measured = json(&bespoke(&words(&format!(
        "measure {} -n 12 --engine {device} --json",
        space.display()
    ))));
    let mut latencies: Vec<f64> = measured
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["median_ms"].as_f64().unwrap())
        .collect();
    latencies.sort_by(f64::total_cmp);
    let target = latencies[6];
    done(&search(
        dir.path(),
        &space,
        &format!("--strategy proxyless --trials 1 --engine {device} --target-latency-ms {target}"),
    ));
    let events = events(&db, dir.path());
    let evaluated = of_kind(&events, "evaluated");
    assert!(!evaluated.is_empty());
    for candidate in evaluated {
        let own = events.iter().find(|e| {
            e["kind"] == "measured"
                && e["purpose"] == "front"
                && e["genotype"] == candidate["genotype"]
        });
        let ms = own.unwrap()["median_ms"].as_f64().unwrap();
        assert!((ms / target - 1.0).abs() <= 0.05, "{ms} for {target}");
    }
}

#[test]
fn what_fails_is_recorded_and_what_cannot_be_relaxed_is_refused() {
    let (dir, space) = place();
    let db = db(dir.path());
    let diverging = search_with(
        dir.path(),
        &space,
        "[differentiable]\nlearning_rate = 1e30\n",
        "--strategy darts --trials 2",
    );
    assert!(diverging.status.success(), "{}", err(&diverging));
    let events = events(&db, dir.path());
    let failed = of_kind(&events, "failed");
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0]["cause"].as_str().unwrap().contains("diverged"));

    let sizes = dir.path().join("sizes.space");
    std::fs::write(&sizes, SMALL.replace("1x28x28", "1x{24, 28}")).unwrap();
    refused(
        &search(dir.path(), &sizes, "--strategy gdas"),
        &["choice `resolution` cannot be relaxed", "sizes.space:2"],
    );
    refused(
        &search(dir.path(), &space, "--strategy nsga2 --target-latency-ms 1"),
        &["only differentiable strategies"],
    );
    refused(
        &search(dir.path(), &space, "--strategy gdas --target-latency-ms -1"),
        &["a positive number of milliseconds"],
    );
    refused(
        &search(dir.path(), &space, "--strategy dartz"),
        &["no strategy `dartz`", "proxyless"],
    );
}

/// Killed in the middle of a search and gone on with, it ends as one left alone.
#[test]
fn a_killed_differentiable_search_goes_on_from_its_checkpoint() {
    use crate::survival::{device, end, result, resume, start};
    let (dir, space) = place();
    let device = device(dir.path());
    let toml = dir.path().join("e.toml");
    std::fs::write(&toml, "other_engines = []\n").unwrap();
    let args = |db: &str| -> Vec<String> {
        let text = format!(
            "search {} --db {db} --space {} --engine {} --strategy gdas --trials 2 --search-epochs 12 \
             --train-images 400 --epochs 1 --final-epochs 1 --references 4 --lease 2",
            toml.display(),
            space.display(),
            device.display()
        );
        text.split_whitespace().map(str::to_owned).collect()
    };
    let in_folder = |name: &str| {
        let folder = dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        db(&folder)
    };
    let (left, killed) = (in_folder("left"), in_folder("killed"));
    end(start(&args(&left)));
    let mut child = start(&args(&killed));
    let kept = || {
        std::fs::read_dir(dir.path().join("killed"))
            .unwrap()
            .filter_map(|entry| entry.ok())
            .any(|run| run.path().join("differentiable-0.safetensors").exists())
    };
    while !kept() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let _ = child.kill();
    child.wait().unwrap();
    end(start(&resume(&killed)));
    assert_eq!(result(&killed, dir.path()), result(&left, dir.path()));
}

#[test]
fn the_benchmark_sets_what_is_found_beside_random_architectures() {
    let (_dir, space) = place();
    let outcome = json(&bespoke(&words(&format!(
        "bench differentiable --space {} --strategy gdas,proxyless --seeds 1 --sample 4 --epochs 1 \
         --search-epochs 2 --train-images 200 --engine tract --json",
        space.display()
    ))));
    let random: Vec<f64> = serde_json::from_value(outcome["random"].clone()).unwrap();
    assert!(random.len() == 4 && random.is_sorted());
    let found = outcome["found"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    for one in found {
        let accuracy = one["accuracy"].as_f64().unwrap();
        let better = random.iter().filter(|r| **r > accuracy).count() as f64 / 4.0;
        assert_eq!(one["better"].as_f64(), Some(better));
        assert!(one["at_latency"]["latency_ms"].as_f64().unwrap() > 0.0);
    }
    if cfg!(target_os = "linux") {
        let of = |what: &str| {
            let memory = json(&bespoke(&["bench", "differentiable", "--memory-of", what]));
            memory["peak"].as_u64().unwrap() - memory["before"].as_u64().unwrap()
        };
        // Two options in memory at once against one and one's output.
        assert!(of("mixed 2") > of("alphas 2") + (100 << 20));
    }
}

//! A run as one file that opens anywhere: the same page, with its modules in one
//! script and its data inside. Nothing is fetched; a policy lets no other script
//! run than the one whose number, made from the whole content, is in the head.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::assets::{self, ASSETS, PAGE};
use super::data::Data;
use crate::store::{RunId, Store, StoreError};

/// Candidates told in full; of a run with more, the front's and the measured.
const MOST_CANDIDATES: usize = 500;
/// Networks drawn: the front's.
const MOST_DRAWINGS: usize = 60;
const HEAD: [&str; 2] = ["<!-- assets -->", "<!-- /assets -->"];

/// The HTML of a run's report.
///
/// # Errors
/// When there is no such run, or the database cannot be read.
pub fn report_html(store: Store, run: &RunId) -> Result<String, StoreError> {
    let data = Data::new(store);
    let overview = data.overview(run)?;
    let name = overview.header.name.clone();
    let content = json!({
        "run": run,
        "version": env!("CARGO_PKG_VERSION"),
        "answers": answers(&data, run)?,
    });
    // Inside a script element only `<` could end it.
    let content = content.to_string().replace('<', "\\u003c");
    Ok(page(&name, &content))
}

/// What the page asks for, by address.
fn answers(data: &Data, run: &RunId) -> Result<BTreeMap<String, Value>, StoreError> {
    let at = |part: &str| format!("runs/{run}{part}");
    let overview = data.overview(run)?;
    let (seq, columns) = data.columns(run)?;
    let pairs = data.pairs(run)?;
    let front: Vec<u64> = overview.front.iter().map(|row| row.candidate).collect();
    let mut told: BTreeSet<u64> = front.iter().copied().collect();
    told.extend(pairs.iter().filter_map(|pair| pair.candidate));
    if columns.len() <= MOST_CANDIDATES {
        told.extend(&columns.candidate);
    }
    // What the page can show when another cost is chosen.
    told.extend(columns.fronts().into_iter().map(|i| columns.candidate[i]));

    let mut answers = BTreeMap::new();
    for id in &told {
        if let Some(view) = data.candidate(run, *id)? {
            answers.insert(at(&format!("/candidates/{id}")), json!(view));
        }
    }
    let others = told.iter().filter(|id| !front.contains(id));
    for id in front.iter().chain(others).take(MOST_DRAWINGS) {
        if let Some(Ok(svg)) = data.drawing(run, *id)? {
            answers.insert(at(&format!("/candidates/{id}/network.svg")), svg.into());
        }
    }
    answers.insert(at("/columns"), json!({"seq": seq, "columns": columns}));
    answers.insert(at("/pairs"), json!(pairs));
    answers.insert(at("/courses"), json!(data.courses(run)?));
    answers.insert(at("/lines"), json!(data.lines(run)?));
    answers.insert(at(""), json!(overview));
    Ok(answers)
}

fn page(name: &str, content: &str) -> String {
    let (styles, scripts) = (styles(), scripts());
    let mut hash = Sha256::new();
    for part in [content, styles.as_str(), scripts.0, scripts.1.as_str()] {
        hash.update(part);
    }
    let number: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{number}'; style-src 'nonce-{number}'; \
         img-src data:; base-uri 'none'; form-action 'none'"
    );
    let (before, rest) = PAGE.split_once(HEAD[0]).expect("the page marks its assets");
    let (_, after) = rest.split_once(HEAD[1]).expect("the page marks its assets");
    let title = format!("<title>{} · bespoke</title>", escaped(name));
    let before = before.replace("<title>bespoke</title>", &title).replacen(
        "<meta charset=\"utf-8\">",
        &format!(
            "<meta charset=\"utf-8\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
                 <meta name=\"referrer\" content=\"no-referrer\">"
        ),
        1,
    );
    let (library, modules) = scripts;
    format!(
        "{before}<style nonce=\"{number}\">{styles}</style>\n\
         <script type=\"application/json\" id=\"report-data\">{content}</script>\n\
         <script nonce=\"{number}\">{library}</script>\n\
         <script type=\"module\" nonce=\"{number}\">{modules}</script>{after}"
    )
}

fn styles() -> String {
    let sheets = ASSETS.iter().filter(|(name, _)| name.ends_with(".css"));
    sheets.map(|(_, text)| *text).collect::<Vec<_>>().join("\n")
}

/// The charting library, and the page's modules as one: they are listed in an
/// order in which each comes after what it imports, and no two have a top-level
/// name in common.
fn scripts() -> (&'static str, String) {
    const LIBRARY: &str = "uplot.min.js";
    let library = assets::text(LIBRARY).expect("the library is an asset");
    let modules = ASSETS
        .iter()
        .filter(|(name, _)| name.ends_with(".js") && *name != LIBRARY);
    let lines = modules
        .flat_map(|(_, text)| text.lines())
        .filter(|line| !line.starts_with("import "))
        .map(|line| line.strip_prefix("export ").unwrap_or(line));
    (library, lines.collect::<Vec<_>>().join("\n"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_assets_ends_an_element_early() {
        let (library, modules) = scripts();
        for text in [library, &modules, &styles()] {
            let lower = text.to_lowercase();
            for end in ["</script", "<!--", "</style", "]]>"] {
                assert!(!lower.contains(end), "{end}");
            }
        }
        for line in modules.lines() {
            assert!(
                !line.starts_with("import") && !line.starts_with("export"),
                "{line}"
            );
        }
    }

    #[test]
    fn the_page_is_whole_and_names_nothing_elsewhere() {
        let page = page("</title><script>alert(1)</script>", "{\"run\":\"a\"}");
        assert!(page.contains("<title>&lt;/title&gt;"));
        assert!(!page.contains("/assets/"));
        assert!(page.trim_end().ends_with("</html>"));
        assert_eq!(page.matches("<script").count(), 3);
        assert_eq!(page.matches("nonce=\"").count(), 3);
    }
}

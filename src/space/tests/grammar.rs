//! The editor grammar in `editors/` against the language: the same words, and
//! the right colour for every one of them in the files of `search-spaces/`.

use std::collections::BTreeSet;

use super::pattern::Pattern;
use crate::network::Activation;
use crate::space::ast::{Call, calls};
use crate::space::lexer::{Token, lex};
use crate::space::ops::{self, SIGNATURES};
use crate::space::parser;
use crate::space::step::{Extent, Func};

const GRAMMAR: &str = include_str!("../../../editors/space.tmLanguage.json");

struct Rule {
    source: String,
    pattern: Pattern,
    /// Scopes of the whole and of the groups.
    scopes: Vec<Option<String>>,
}

fn rules() -> Vec<Rule> {
    let grammar: serde_json::Value = serde_json::from_str(GRAMMAR).unwrap();
    let rule = |rule: &serde_json::Value| {
        let source = rule["match"].as_str().expect("every rule is a `match`");
        let text = |v: &serde_json::Value| v.as_str().map(str::to_string);
        let mut scopes = vec![text(&rule["name"])];
        for group in 1..10 {
            scopes.push(text(&rule["captures"][group.to_string()]["name"]));
        }
        Rule {
            source: source.to_string(),
            pattern: Pattern::new(source),
            scopes,
        }
    };
    let rules = grammar["patterns"].as_array().unwrap();
    rules.iter().map(rule).collect()
}

/// The words a regular expression names.
fn words_of(pattern: &str) -> BTreeSet<String> {
    let mut bare = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
                bare.push(' ');
            }
            '[' => {
                while chars.next().is_some_and(|c| c != ']') {}
                bare.push(' ');
            }
            c => bare.push(c),
        }
    }
    bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| w.len() > 1 && w.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_string)
        .collect()
}

/// The words the parser compares with: whatever stands alone in quotes in its
/// source.
fn parser_words() -> BTreeSet<String> {
    // Of an `expect`, and what stands for a wrong statement.
    const OTHERS: [&str; 2] = ["one", "skip"];
    [
        include_str!("../parser/mod.rs"),
        include_str!("../parser/items.rs"),
        include_str!("../parser/statements.rs"),
        include_str!("../parser/flows.rs"),
        include_str!("../parser/values.rs"),
    ]
    .iter()
    .flat_map(|source| source.split('"').skip(1).step_by(2))
    .filter(|text| !OTHERS.contains(text))
    .filter(|text| text.len() > 1 && text.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    .map(str::to_string)
    .collect()
}

/// Words that have a meaning besides: values by name and bit widths.
const MEANINGS: [&str; 6] = [
    "in",
    "index",
    "precision",
    "weights",
    "activations",
    "classes",
];

/// Names of operators' parameters, which may also name values of a file.
fn parameters() -> BTreeSet<String> {
    let params = SIGNATURES.iter().flat_map(|s| s.params);
    params.map(|p| p.name.to_string()).collect()
}

/// All other words with a meaning of their own.
fn known_words() -> BTreeSet<String> {
    let mut words = parser_words();
    let mut add = |word: &str| words.insert(word.to_string());
    SIGNATURES.iter().for_each(|s| _ = add(s.name));
    Activation::ALL.iter().for_each(|(n, _)| _ = add(n));
    Func::ALL.iter().for_each(|(n, ..)| _ = add(n));
    Extent::ALL.iter().for_each(|(n, _)| _ = add(n));
    MEANINGS.iter().for_each(|n| _ = add(n));
    words
}

#[test]
fn the_grammar_has_the_languages_words_and_no_others() {
    let mut coloured = BTreeSet::new();
    for rule in rules() {
        coloured.extend(words_of(&rule.source));
    }
    let known = &known_words() | &parameters();
    let missing: Vec<_> = known.difference(&coloured).collect();
    let surplus: Vec<_> = coloured.difference(&known).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "editors/space.tmLanguage.json is stale: it lacks {missing:?}, and the language does not \
         know {surplus:?}"
    );
    // The scan of the parser's source finds what it is there to find.
    for word in [
        "network", "through", "step", "image", "flash", "global", "and",
    ] {
        assert!(parser_words().contains(word), "{word}");
    }
}

#[test]
fn operators_activations_and_functions_have_their_own_scopes() {
    let rules = rules();
    let scope = |text: &str| scope_at(&rules, text, 0).unwrap_or_default();
    for signature in SIGNATURES.iter().map(|s| s.name) {
        let activation = Activation::ALL.iter().any(|(n, _)| *n == signature);
        let wanted = match activation {
            true => "support.function.activation.space",
            false => "support.function.operator.space",
        };
        assert_eq!(scope(signature), wanted, "{signature}");
    }
    for (name, _) in Activation::ALL {
        assert_eq!(scope(name), "support.function.activation.space", "{name}");
    }
    for (name, ..) in Func::ALL {
        let call = format!("{name}(1, 2)");
        assert_eq!(scope(&call), "support.function.math.space", "{name}");
    }
    for name in ops::names() {
        assert!(scope(name).starts_with("support.function."), "{name}");
    }
    for item in parser::ITEMS {
        // `input` and `classes` are values, too.
        let line = match item {
            "input" => "input image".to_string(),
            "classes" => "classes 10".to_string(),
            item => item.to_string(),
        };
        assert_eq!(scope(&line), "keyword.other.item.space", "{item}");
    }
}

/// The scope of the character at a place of a line.
fn scope_at(rules: &[Rule], line: &str, place: usize) -> Option<String> {
    scopes(rules, line).swap_remove(place)
}

/// Tokenises as an editor does: the first rule that matches at the leftmost
/// place wins, and goes on behind it.
fn scopes(rules: &[Rule], line: &str) -> Vec<Option<String>> {
    let chars: Vec<char> = line.chars().collect();
    let mut scopes = vec![None; line.len() + 1];
    let mut at = 0;
    while at < chars.len() {
        let hit = rules
            .iter()
            .find_map(|r| Some((r, r.pattern.find(&chars, at)?)))
            .filter(|(_, found)| found[0].is_some_and(|(a, b)| b > a));
        let Some((rule, found)) = hit else {
            at += 1;
            continue;
        };
        for (scope, range) in rule.scopes.iter().zip(&found) {
            if let (Some(scope), Some((from, to))) = (scope, range) {
                scopes[*from..*to].fill(Some(scope.clone()));
            }
        }
        at = found[0].expect("the whole").1;
    }
    scopes
}

#[test]
fn shipped_files_are_coloured_by_what_their_words_mean() {
    let (rules, words) = (rules(), known_words());
    let mut operators = 0;
    for (name, text) in shipped() {
        let mut coloured: Vec<Option<String>> = Vec::new();
        for line in text.split('\n') {
            // A scope for each byte, and one for the line's end.
            assert!(line.is_ascii(), "{name}: {line}");
            coloured.extend(scopes(&rules, line));
        }
        for lexeme in lex(&text).unwrap() {
            let Token::Ident(word) = &lexeme.token else {
                let end = lexeme.token == Token::End;
                assert!(
                    end || coloured[lexeme.span.start].is_some(),
                    "{name}: {lexeme:?}"
                );
                continue;
            };
            let scope = coloured[lexeme.span.start].as_deref();
            let known = words.contains(word) || ops::find(word).is_some();
            assert!(!known || scope.is_some(), "{name}: `{word}` has no colour");
            let operator = scope.is_some_and(|s| s.starts_with("support.function"));
            assert!(known || !operator, "{name}: `{word}` is no operator");
        }
        // What is used as an operator has its colour, also where the same word
        // names a value elsewhere.
        let parsed = parser::parse(
            &text
                .replacen("library", "space  ", 1)
                .replace("import", "#mport"),
        )
        .unwrap();
        let blocks = parsed.blocks.iter().map(|b| b.body.as_slice());
        let network = parsed.network.iter().map(|(body, _)| body.as_slice());
        let used: Vec<&Call> = blocks.chain(network).flat_map(calls).collect();
        for call in used {
            let scope = coloured[call.name.span.start].as_deref().unwrap_or("none");
            if ops::find(&call.name.text).is_some() {
                operators += 1;
                assert!(
                    scope.starts_with("support.function"),
                    "{name}: {}: {scope}",
                    call.name.text
                );
            }
        }
    }
    assert!(operators > 200, "{operators} uses of operators");
}

fn shipped() -> Vec<(String, String)> {
    ["search-spaces", "search-spaces/lib"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "space"))
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

/// The same rules as Sublime Text and bat read them.
fn sublime() -> String {
    let mut out = String::from(
        "%YAML 1.2\n---\n# Made from space.tmLanguage.json by the tests.\n\
         name: bespoke search space\nfile_extensions: [space]\nscope: source.space\n\
         contexts:\n  main:\n",
    );
    for rule in rules() {
        out += &format!("    - match: '{}'\n", rule.source.replace('\'', "''"));
        if let Some(scope) = &rule.scopes[0] {
            out += &format!("      scope: {scope}\n");
        }
        let groups: Vec<(usize, &String)> = (1..10)
            .filter_map(|g| Some((g, rule.scopes[g].as_ref()?)))
            .collect();
        if !groups.is_empty() {
            out += "      captures:\n";
        }
        for (group, scope) in groups {
            out += &format!("        {group}: {scope}\n");
        }
    }
    out
}

#[test]
fn the_forms_for_other_editors_are_the_same_grammar() {
    let path = "editors/space.sublime-syntax";
    if std::env::var_os("BESPOKE_UPDATE").is_some() {
        std::fs::write(path, sublime()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        sublime(),
        "{path} is stale: run this test with BESPOKE_UPDATE=1"
    );
    let extension = std::fs::read_to_string("editors/vscode/package.json").unwrap();
    let extension: serde_json::Value = serde_json::from_str(&extension).unwrap();
    let grammar = &extension["contributes"]["grammars"][0];
    assert_eq!(grammar["scopeName"], "source.space");
    assert_eq!(grammar["path"], "./space.tmLanguage.json");
    let configuration = &extension["contributes"]["languages"][0]["configuration"];
    let file = configuration.as_str().unwrap().trim_start_matches("./");
    let text = std::fs::read_to_string(format!("editors/vscode/{file}")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
}

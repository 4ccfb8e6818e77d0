//! The rules: which module may name which, and what may be named at all.

use crate::tokens::{Token, matches, names_below, test_items, tokens};

/// The layer of each module at the top of the tree; a module uses strictly lower ones.
const LAYERS: [(&str, u8); 25] = [
    ("error", 0),
    ("time", 1),
    ("cancel", 1),
    ("options", 2),
    ("event", 2),
    ("input", 2),
    ("report", 2),
    ("playlist", 3),
    ("container", 3),
    ("timeline", 3),
    ("av", 3),
    ("net", 3),
    ("workspace", 4),
    ("fetch", 5),
    ("demux", 6),
    ("mux", 6),
    ("subtitle", 6),
    ("pipeline", 7),
    ("plan", 7),
    ("job", 8),
    ("inspect", 8),
    ("stages", 8),
    ("service", 9),
    (LIB, 10),
    (BIN, 11),
];
const LIB: &str = "lib";
const BIN: &str = "bin";

/// Crates that live in some modules only.
const HOMES: [(&str, &[&str]); 11] = [
    ("reqwest", &["net"]),
    ("rustls", &["net"]),
    ("m3u8_rs", &["playlist"]),
    // lib.rs tells the versions that the build runs with.
    ("ffmpeg_next", &["av", LIB]),
    ("ffmpeg_sys_next", &["av"]),
    ("anyhow", &[BIN]),
    ("clap", &[BIN]),
    ("indicatif", &[BIN]),
    ("anstream", &[BIN]),
    ("signal_hook", &[BIN]),
    ("serde_json", &[BIN]),
];

const SPAWNERS: [&str; 8] = ["fork", "vfork", "execv", "execve", "execvp", "posix_spawn", "posix_spawnp", "popen"];
const PRINTERS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// What is wrong with one file, a line each. `path` is relative to `src`, with `/`.
pub(crate) fn faults(path: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let file = File { path, module: module_path(path), tokens: &tokens };
    let tests = test_items(&tokens);
    let all_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        file.everywhere(at, &mut out);
        if !all_tests && !tests.iter().any(|r| r.contains(&at)) {
            file.outside_tests(at, &mut out);
        }
    }
    out
}

/// The module that a file is: `av/io.rs` is `["av", "io"]`.
fn module_path(path: &str) -> Vec<&str> {
    if path.starts_with("bin/") {
        return vec![BIN];
    }
    path.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect()
}

struct File<'a> {
    path: &'a str,
    module: Vec<&'a str>,
    tokens: &'a [Token],
}

impl File<'_> {
    fn top(&self) -> &str {
        self.module[0]
    }

    fn is(&self, at: usize, words: &[&str]) -> bool {
        matches(self.tokens, at, words)
    }

    fn fault(&self, at: usize, what: impl std::fmt::Display) -> String {
        format!("src/{}:{}: {what}", self.path, self.tokens[at].line)
    }

    /// Rules that tests inside `src` keep, too.
    fn everywhere(&self, at: usize, out: &mut Vec<String>) {
        let word = self.tokens[at].text.as_str();
        if word == "unsafe" && self.top() != "av" {
            out.push(self.fault(at, "`unsafe` outside src/av"));
        }
        if SPAWNERS.contains(&word) && self.is(at + 1, &["("]) || self.names(at, "process", &["Command"]) {
            out.push(self.fault(at, "a process is spawned"));
        }
        if word == "set_times" && !["av", "mux"].contains(&self.top()) {
            out.push(self.fault(at, "a packet's timestamps are set outside src/mux"));
        }
        if (word == "todo" || word == "unimplemented") && self.is(at + 1, &["!"]) {
            out.push(self.fault(at, format_args!("`{word}!`")));
        }
        if word == "#" && self.attribute_allows(at) {
            out.push(self.fault(at, "`#[allow]`: use `#[expect(…, reason = …)]`"));
        }
    }

    fn outside_tests(&self, at: usize, out: &mut Vec<String>) {
        let word = self.tokens[at].text.as_str();
        self.dependencies(at, out);
        for (name, homes) in HOMES {
            if word == name && !homes.contains(&self.top()) {
                out.push(self.fault(at, format_args!("`{name}` outside {}", homes.join(", "))));
            }
        }
        if self.top() == BIN {
            return;
        }
        if PRINTERS.contains(&word) && self.is(at + 1, &["!"]) || self.names(at, "io", &["stdout", "stderr"]) {
            out.push(self.fault(at, "the library prints"));
        }
        if self.names(at, "std", &["env"]) || self.is(at, &["env", "::"]) && !self.is(at.wrapping_sub(1), &["::"]) {
            out.push(self.fault(at, "the library reads the environment"));
        }
        if self.names(at, "process", &["exit", "abort"]) {
            out.push(self.fault(at, "the library ends the process"));
        }
    }

    /// `module::name` stands here, or `module::{…, name, …}`.
    fn names(&self, at: usize, module: &str, names: &[&str]) -> bool {
        self.is(at, &[module, "::"])
            && names_below(self.tokens, at + 1).iter().any(|token| names.contains(&token.text.as_str()))
    }

    /// An attribute from `#` on that holds `allow(`, also inside `cfg_attr`.
    fn attribute_allows(&self, at: usize) -> bool {
        let open = at + 1 + usize::from(self.is(at + 1, &["!"]));
        if !self.is(open, &["["]) {
            return false;
        }
        let mut depth = 0;
        for i in open..self.tokens.len() {
            match self.tokens[i].text.as_str() {
                "[" => depth += 1,
                "]" => depth -= 1,
                "allow" if self.is(i + 1, &["("]) => return true,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        false
    }

    /// What a path that begins here depends on.
    fn dependencies(&self, at: usize, out: &mut Vec<String>) {
        let preceded = at > 0 && self.is(at - 1, &["::"]);
        let mut end = at;
        let names = match self.tokens[at].text.as_str() {
            // `crate` is the command itself in its own files.
            "crate" if self.top() != BIN && self.is(at + 1, &["::"]) => names_below(self.tokens, at + 1),
            "super" if self.top() != BIN && !preceded => {
                let mut supers = 1;
                while self.is(end + 1, &["::", "super"]) {
                    supers += 1;
                    end += 2;
                }
                // One `super` of a module at the top is the crate's root; further down it stays inside.
                if supers < self.module.len() || !self.is(end + 1, &["::"]) {
                    return;
                }
                names_below(self.tokens, end + 1)
            }
            _ => return,
        };
        for name in names {
            self.dependency(at, &name.text, out);
        }
    }

    fn dependency(&self, at: usize, name: &str, out: &mut Vec<String>) {
        let own = self.top();
        if name == own {
            return;
        }
        let Some(from) = layer(own) else {
            out.push(self.fault(at, format_args!("module `{own}` has no layer: give it one in tests/layering")));
            return;
        };
        // What is no module is a name that lib.rs lends out again.
        let (target, to) = match layer(name) {
            Some(to) => (name, to),
            None if name.starts_with(char::is_uppercase) || name == "*" => (LIB, 10),
            None => {
                out.push(self.fault(at, format_args!("module `{name}` has no layer: give it one in tests/layering")));
                return;
            }
        };
        if to >= from {
            out.push(self.fault(at, format_args!("`{own}` (layer {from}) uses `{target}` (layer {to}) by `{name}`")));
        }
    }
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The modules that have a layer.
pub(crate) fn has_layer(module: &str) -> bool {
    layer(module).is_some()
}

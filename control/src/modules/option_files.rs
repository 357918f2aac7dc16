//! Options of a module that lie in files of their own, such as the rules of `ips`: `{"file": PATH}` in the place of the text.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

/// Largest sum of an option's files in bytes: beside the largest module it is within a request's body.
const MAX_TEXT: usize = 32 << 20;
/// The only key of an option that names a file, or a list of them.
const KEY: &str = "file";

/// Put the text of the files in the place of each option that is an object with the only key `file`: a path, or a list of
/// paths whose texts follow one another, each on a line of its own. Relative paths begin at `base`.
///
/// # Errors
/// The option, and why: its value is neither, or a file cannot be read, is too large, or is no UTF-8.
pub(crate) fn read_options(options: &mut Map<String, Value>, base: &Path) -> Result<(), (String, String)> {
    for (name, value) in options.iter_mut() {
        let files = match value.as_object() {
            Some(table) if table.len() == 1 => table.get(KEY),
            _ => None,
        };
        let Some(files) = files else { continue };
        let wrong = |why: String| (format!("{name}.{KEY}"), why);
        let paths = paths(files).ok_or_else(|| wrong("a path, or a list of paths, is expected".to_owned()))?;
        let mut text = String::new();
        for path in paths {
            let path = base.join(path);
            append(&mut text, &path).map_err(|why| wrong(format!("{}: {why}", path.display())))?;
        }
        *value = text.into();
    }
    Ok(())
}

fn paths(value: &Value) -> Option<Vec<PathBuf>> {
    match value {
        Value::String(path) => Some(vec![path.into()]),
        Value::Array(paths) => paths.iter().map(|path| path.as_str().map(PathBuf::from)).collect(),
        _ => None,
    }
}

fn append(text: &mut String, path: &Path) -> Result<(), String> {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let most = MAX_TEXT - text.len().min(MAX_TEXT);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > most {
        return Err(format!("an option may have {} MiB in all", MAX_TEXT >> 20));
    }
    let read = String::from_utf8(bytes).map_err(|error| error.utf8_error().to_string())?;
    text.push_str(&read);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(json: &Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn files_take_the_place_of_what_names_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.rules"), "one").unwrap();
        std::fs::write(dir.path().join("b.rules"), "two\n").unwrap();
        let whole = dir.path().join("b.rules");
        let mut given = options(&json!({
            "rules": {"file": ["a.rules", whole]},
            "name": {"file": "a.rules"},
            "vars": {"file": "x", "HOME_NET": "any"},
            "plain": "file",
        }));
        read_options(&mut given, dir.path()).unwrap();
        let expected = json!({
            "rules": "one\ntwo\n",
            "name": "one",
            "vars": {"file": "x", "HOME_NET": "any"},
            "plain": "file",
        });
        assert_eq!(Value::from(given), expected);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("latin"), b"caf\xe9").unwrap();
        for (file, words) in [
            (json!("none.rules"), "none.rules"),
            (json!("latin"), "utf-8"),
            (json!("/dev/zero"), "32 MiB"),
            (json!(["latin", 1]), "a list of paths"),
            (json!(3), "a path"),
        ] {
            let mut given = options(&json!({"rules": {"file": file}}));
            let (field, why) = read_options(&mut given, dir.path()).unwrap_err();
            assert!(field == "rules.file" && why.contains(words), "{field}: {why}");
        }
    }
}

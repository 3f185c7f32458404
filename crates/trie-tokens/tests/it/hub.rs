//! The hub is asked over HTTP, from a server of the test on loopback.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
};

use tempfile::TempDir;
use trie_tokens::{ChatOptions, Miss, Places, Source, TokenizerError, Vocabulary};

use crate::sample::{Kind, bytes, tokenizer_json};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request as the server saw it: its path and its authorization.
type Seen = (String, Option<String>);

/// The answer to one path: status line, headers, body.
type Answer = (&'static str, Vec<String>, Vec<u8>);

/// A hub that answers from a table, and tells what it was asked.
struct Hub {
    endpoint: String,
    seen: Receiver<Seen>,
}

impl Hub {
    fn serving(answers: BTreeMap<&'static str, Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (tell, seen) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                let (path, authorization) = request(&stream);
                let known = answers.get(path.as_str());
                // The test may be over before this thread is.
                if tell.send((path, authorization)).is_err() {
                    return;
                }
                respond(&stream, known);
            }
        });
        Self { endpoint, seen }
    }

    fn places(&self, folder: &TempDir) -> Places {
        Places {
            hf_home: Some(folder.path().to_owned()),
            hf_endpoint: Some(format!("{}/", self.endpoint)),
            hf_token: Some("hf_canary".to_owned()),
            ..Places::default()
        }
    }

    fn paths(&self) -> Vec<String> {
        self.seen.try_iter().map(|(path, _)| path).collect()
    }
}

/// Reads one request: its path and its authorization.
fn request(stream: &TcpStream) -> Seen {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines.take_while(|line| !line.is_empty());
    let authorization = headers.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    (path, authorization.last())
}

/// Answers from the table, or that there is no such file; then the connection is over.
fn respond(mut stream: &TcpStream, known: Option<&Answer>) {
    let missing =
        ("404 Not Found", vec!["x-error-message: Entry not found".to_owned()], Vec::new());
    let (status, headers, body) = known.unwrap_or(&missing);
    let headers: String = headers.iter().map(|line| line.clone() + "\r\n").collect();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
}

fn ok(body: &[u8]) -> Answer {
    ("200 OK", vec![format!("X-Repo-Commit: {COMMIT}")], body.to_vec())
}

fn sample() -> Vec<u8> {
    bytes(&tokenizer_json(Kind::ByteLevel))
}

#[test]
fn a_download_is_filed_in_the_cache_and_found_there_again() {
    let config = br#"{"add_bos_token": true, "bos_token": "<s>"}"#;
    let hub = Hub::serving(BTreeMap::from([
        ("/some/model/resolve/main/tokenizer.json", ok(&sample())),
        ("/some/model/resolve/main/tokenizer_config.json", ok(config)),
        ("/some/model/resolve/main/chat_template.jinja", ok(b"{{ bos_token }}hello")),
    ]));
    let folder = TempDir::new().unwrap();
    let places = hub.places(&folder);
    let downloaded = Vocabulary::load("some/model", &places).unwrap();
    assert!(matches!(downloaded.source(), Source::Hub(_)));
    assert!(downloaded.bos().is_some());
    let token = Some("Bearer hf_canary".to_owned());
    let asked = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
        .map(|file| (format!("/some/model/resolve/main/{file}"), token.clone()));
    assert_eq!(hub.seen.try_iter().collect::<Vec<_>>(), asked);
    let repository = folder.path().join("hub/models--some--model");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let file = repository.join("snapshots").join(COMMIT).join("tokenizer.json");
    assert_eq!(fs::read(&file).unwrap(), sample());
    let again = Vocabulary::load("some/model", &Places { offline: true, ..places }).unwrap();
    assert_eq!(again.source(), &Source::HubCache(file));
    assert_eq!(again.bos(), downloaded.bos());
    let template = again.chat_template().unwrap().unwrap();
    assert!(template.file().ends_with(&format!("{COMMIT}/chat_template.jinja")));
    assert_eq!(template.render(&[], &[], &ChatOptions::default()).unwrap(), "<s>hello");
    assert_eq!(hub.paths(), [""; 0]);
}

#[test]
fn a_redirect_is_followed_without_the_token() {
    let elsewhere = Hub::serving(BTreeMap::from([("/blob", ok(&sample()))]));
    let location = format!("location: {}/blob", elsewhere.endpoint);
    let commit = format!("x-repo-commit: {COMMIT}");
    let hub = Hub::serving(BTreeMap::from([(
        "/gpt2/resolve/main/tokenizer.json",
        ("302 Found", vec![location, commit], Vec::new()),
    )]));
    let folder = TempDir::new().unwrap();
    let vocabulary = Vocabulary::load("gpt2", &hub.places(&folder)).unwrap();
    assert_eq!((vocabulary.bos(), vocabulary.stable().len()), (None, 64));
    let asked: Vec<_> = elsewhere.seen.try_iter().collect();
    assert_eq!(asked, [("/blob".to_owned(), None)]);
    let snapshot = folder.path().join("hub/models--gpt2/snapshots").join(COMMIT);
    assert!(snapshot.join("tokenizer.json").is_file());
}

#[test]
fn files_missing_from_a_cached_commit_are_fetched_of_that_commit() {
    let hub = Hub::serving(BTreeMap::from([("/a/b/resolve/0abc/tokenizer.json", ok(&sample()))]));
    let folder = TempDir::new().unwrap();
    let repository = folder.path().join("hub/models--a--b");
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "0abc").unwrap();
    Vocabulary::load("a/b", &hub.places(&folder)).unwrap();
    assert!(repository.join("snapshots/0abc/tokenizer.json").is_file());
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), "0abc");
}

/// What the hub's refusal of `some/model` is read as, with or without a token.
#[track_caller]
fn check_refused(answer: Option<Answer>, token: bool, expected: &Miss, hint: &str) {
    let path = "/some/model/resolve/main/tokenizer.json";
    let hub = Hub::serving(answer.map(|answer| (path, answer)).into_iter().collect());
    let folder = TempDir::new().unwrap();
    let mut places = hub.places(&folder);
    places.hf_token = places.hf_token.filter(|_| token);
    let error = Vocabulary::load("some/model", &places).unwrap_err();
    let shown = error.to_string();
    let TokenizerError::NotFound { tried, .. } = error else { panic!("{shown}") };
    assert_eq!(tried.len(), 3, "{shown}");
    assert_eq!(&tried[2].miss, expected);
    assert!(shown.contains(hint) && shown.contains(path), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!folder.path().join("hub").exists(), "nothing is filed");
}

#[test]
fn refusals_say_what_to_do() {
    let said = |said: &str| vec![format!("x-error-message: {said}")];
    let gated = || ("403 Forbidden", said("Access to model some/model is restricted"), Vec::new());
    let restricted = || "Access to model some/model is restricted".to_owned();
    let miss = Miss::NoAccess { status: 403, said: restricted(), token_sent: true };
    check_refused(Some(gated()), true, &miss, "accept the model's licence");
    let miss = Miss::NoAccess { status: 403, said: restricted(), token_sent: false };
    check_refused(Some(gated()), false, &miss, "set HF_TOKEN");
    let miss = Miss::NoAccess { status: 401, said: "Unauthorized".to_owned(), token_sent: false };
    check_refused(Some(("401 Unauthorized", vec![], vec![])), false, &miss, "set HF_TOKEN");
    let miss = Miss::NotOnHub { said: "Entry not found".to_owned() };
    check_refused(None, true, &miss, "check the spelling");
    let miss = Miss::Status { status: 503, said: "Service Unavailable".to_owned() };
    check_refused(Some(("503 Service Unavailable", vec![], vec![])), true, &miss, "try again");
}

#[test]
fn a_hub_that_is_not_there_is_named_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let places =
        Places { hf_endpoint: Some(format!("http://u:canary@{address}")), ..Places::default() };
    let error = Vocabulary::load("some/model", &places).unwrap_err();
    let shown = error.to_string();
    let TokenizerError::NotFound { tried, .. } = error else { panic!("{shown}") };
    assert!(matches!(tried[2].miss, Miss::Unreachable { .. }), "{shown}");
    assert!(
        !shown.contains("canary") && shown.contains(&format!("http://***@{address}/some/model"))
    );
}

//! Certificates, good and bad.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use crate::program::{folder, trie};

/// A server with a certificate that it signed itself. It ends the connection after the handshake.
/// Returns its port and the certificate in PEM.
fn self_signed() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that refuses the certificate is what is tested.
            drop(stream.and_then(|mut stream| shake_hands(Arc::clone(&config), &mut stream)));
        }
    });
    (port, made.cert.pem())
}

fn shake_hands(config: Arc<ServerConfig>, stream: &mut std::net::TcpStream) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(stream)?;
    }
    connection.send_close_notify();
    connection.complete_io(stream).map(drop)
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused_and_ca_file_helps() {
    let folder = folder();
    let (port, certificate) = self_signed();
    std::fs::write(folder.path().join("ca.pem"), certificate).unwrap();
    let line = format!(
        "workload_path=rows.jsonl endpoint=https://127.0.0.1:{port}/v1 model=m \
         tokenizer_model=builtin concurrency=1"
    );
    let refused = trie(folder.path(), &line);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{}", refused.err);
    assert!(refused.err.contains("(tls_unknown_issuer)"), "{}", refused.err);
    assert!(refused.err.contains("ca_file="), "{}", refused.err);
    for option in ["ca_file=ca.pem", "insecure=True"] {
        let trusted = trie(folder.path(), &format!("{line} {option}"));
        assert_eq!(trusted.code, 1, "{}", trusted.err);
        assert!(!trusted.err.contains("(tls"), "{option}: {}", trusted.err);
    }
    let missing = trie(folder.path(), &format!("{line} ca_file=none.pem"));
    assert_eq!(missing.code, 2, "{}", missing.err);
    assert!(missing.err.contains("none.pem"), "{}", missing.err);
}

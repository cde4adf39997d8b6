//! An HTTP client for one request.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::netns::Namespace;
use crate::wait::PATIENCE;

/// What a server answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines, as they came.
    pub header: String,
    /// The body.
    pub body: String,
}

/// Asks a server inside a namespace for `path`.
///
/// # Errors
/// When it does not answer in time, or not with HTTP.
pub fn get(namespace: &Namespace, server: SocketAddr, path: &str) -> io::Result<Response> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    let answer = namespace.within(|| {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer)
    })?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, answer))
}

/// Posts a body to a server at a Unix socket.
///
/// # Errors
/// When it does not answer in time, or not with HTTP.
pub fn post(socket: &Path, path: &str, content_type: &str, body: &str) -> io::Result<Response> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    // A server that refuses what is too long does not read all of it.
    let sent = stream.write_all(body.as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).or_else(|error| if answer.is_empty() { Err(error) } else { Ok(0) })?;
    parse(&answer).ok_or_else(|| sent.err().unwrap_or(io::ErrorKind::InvalidData.into()))
}

fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (first, header) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let chunked = header.to_ascii_lowercase().lines().any(|line| line == "transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(Response { status, header: header.to_owned(), body })
}

/// Joins the chunks of RFC 9112 §7.1.
fn unchunk(mut body: &str) -> Option<String> {
    let mut joined = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(joined);
        }
        joined += rest.get(..size)?;
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;
    use crate::needs;
    use crate::skip::Need;

    #[test]
    fn chunks_are_joined_and_a_cut_answer_is_none() {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(answer).unwrap().body, "abcde");
        assert_eq!(parse(&answer[..answer.len() - 5]), None);
        assert_eq!(parse("SSH-2.0-OpenSSH_9.2\r\n"), None);
    }

    #[test]
    fn a_server_on_the_loopback_of_a_namespace_is_asked() {
        needs!(Need::Root, Need::Netns);
        let namespace = Namespace::new();
        let listener = namespace.within(|| TcpListener::bind("127.0.0.1:9822")).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let request: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            (&stream).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnone\n").unwrap();
            request
        });
        let response = get(&namespace, "127.0.0.1:9822".parse().unwrap(), "/metrics").unwrap();
        assert_eq!((response.status, response.body.as_str()), (404, "none\n"));
        let request = server.join().unwrap();
        assert_eq!(request, ["GET /metrics HTTP/1.1", "Host: 127.0.0.1:9822", "Connection: close"]);
    }
}

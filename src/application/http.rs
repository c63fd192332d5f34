//! HTTP/1 in clear: whom the first request is for, and the first line of the answer.

use super::{Application, Arrival, Progress, Recognised};

/// Methods (RFC 9110, section 9; `PATCH` RFC 5789; WebDAV's, RFC 4918) with the space behind them, and the answer's beginning.
const OPENINGS: [&[u8]; 15] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PROPFIND ",
    b"PROPPATCH ",
    b"MKCOL ",
    b"COPY ",
    b"REPORT ",
    b"HTTP/1.",
];

/// The longest line that is kept; longer ones are read past.
const MAX_LINE: usize = 8 * 1024;

/// What is kept of the answer's first line.
const MAX_STATUS: usize = 80;

/// Whether a stream begins like HTTP/1.
pub(super) fn opening(bytes: &[u8]) -> Progress<()> {
    let mut may_become = false;
    for opening in OPENINGS {
        if bytes.starts_with(opening) {
            return Progress::Done {
                message: (),
                used: 0,
            };
        }
        may_become |= opening.starts_with(bytes);
    }
    if may_become {
        Progress::NeedMore
    } else {
        Progress::NotThis
    }
}

/// How far a message's head has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Head {
    /// Lines are still awaited.
    #[default]
    Open,
    /// All that is wanted has come.
    Done,
    /// Another protocol follows: after `CONNECT` and its answer, or because the first line is not HTTP's (RTSP, SIP).
    Other,
}

/// One side's message head.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    lines: u32,
    connect: bool,
    /// Bytes taken.
    taken: u32,
}

impl Reader {
    /// Takes fresh bytes; says how far it has come, and how many bytes that took.
    pub(super) fn bytes(
        &mut self,
        bytes: &[u8],
        arrival: &Arrival,
        found: &mut Recognised,
    ) -> (Head, usize) {
        let mut used = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            used += piece.len();
            self.taken = self.taken.saturating_add(piece.len() as u32);
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line
                .extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let head = self.line(line.trim_ascii_end(), arrival, found);
                self.lines = self.lines.saturating_add(1);
                if head != Head::Open {
                    return (head, used);
                }
            }
        }
        (Head::Open, used)
    }

    /// Bytes taken so far.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    /// Takes one line without its end.
    fn line(&mut self, line: &[u8], arrival: &Arrival, found: &mut Recognised) -> Head {
        if self.lines == 0 {
            return self.first_line(line, arrival, found);
        }
        if line.is_empty() {
            return if self.connect {
                Head::Other
            } else {
                Head::Done
            };
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        if let (Some(name), Some(value)) = (parts.next(), parts.next())
            && name.eq_ignore_ascii_case(b"host")
            && found.http_host.is_none()
        {
            found.http_host = without_port(value.trim_ascii());
        }
        Head::Open
    }

    /// Takes the request line or the status line.
    fn first_line(&mut self, line: &[u8], arrival: &Arrival, found: &mut Recognised) -> Head {
        let claim = |found: &mut Recognised, client| {
            if found.application == Application::Unknown {
                found.application = Application::Http;
                found.client.get_or_insert(client);
            }
        };
        if line.starts_with(b"HTTP/1.") {
            claim(found, arrival.side.other());
            if found.http_status.is_none() {
                let line = line.get(..MAX_STATUS).unwrap_or(line);
                found.http_status = Some(super::tls::client_hello::printable(line));
            }
            return Head::Done;
        }
        let mut words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let (method, target) = (words.next(), words.next());
        if !words
            .next_back()
            .is_some_and(|version| version.starts_with(b"HTTP/1."))
        {
            return Head::Other;
        }
        claim(found, arrival.side);
        self.connect = method == Some(b"CONNECT");
        if found.http_host.is_none() {
            found.http_host = target.and_then(|target| {
                if self.connect {
                    without_port(target)
                } else {
                    // a proxy's absolute form outranks the header (RFC 9112, section 3.2.2)
                    let rest = target.strip_prefix(b"http://")?;
                    without_port(rest.split(|byte| *byte == b'/').next()?)
                }
            });
        }
        Head::Open
    }
}

/// The host of an authority (RFC 3986, section 3.2): no user, no port, no brackets.
fn without_port(authority: &[u8]) -> Option<String> {
    let host = authority.rsplit(|byte| *byte == b'@').next()?;
    let host = if let Some(literal) = host.strip_prefix(b"[") {
        literal.split(|byte| *byte == b']').next()?
    } else {
        host.split(|byte| *byte == b':').next()?
    };
    super::tls::client_hello::host_name(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Frame, Side, Timestamp};

    fn read(side: Side, text: &[u8]) -> (Head, usize, Recognised) {
        let mut found = Recognised::default();
        let arrival = Arrival {
            side,
            frame: Frame::new(0, 4),
            time: Timestamp(0),
        };
        let (head, used) = Reader::default().bytes(text, &arrival, &mut found);
        (head, used, found)
    }

    #[test]
    fn a_request_names_its_host_without_the_port() {
        let text = b"GET / HTTP/1.1\r\nUser-Agent: x\r\nHOST: WhatsApp.net:80\r\n\r\nbody";
        let (head, used, found) = read(Side::A, text);
        assert_eq!((head, used), (Head::Done, text.len() - 4));
        assert_eq!(found.http_host.as_deref(), Some("whatsapp.net"));
        assert_eq!(found.client, Some(Side::A));
        assert_eq!(found.application, Application::Http);
    }

    #[test]
    fn after_connect_something_else_follows() {
        let (head, _, found) = read(Side::B, b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n");
        assert_eq!(head, Head::Other);
        assert_eq!(found.http_host.as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn the_answers_first_line_is_kept() {
        let (head, _, found) = read(Side::B, b"HTTP/1.1 302 Found\r\nLocation: x\r\n");
        assert_eq!(head, Head::Done);
        assert_eq!(found.http_status.as_deref(), Some("HTTP/1.1 302 Found"));
        assert_eq!(found.client, Some(Side::A));
    }

    #[test]
    fn rtsp_is_not_http() {
        let (head, _, found) = read(Side::A, b"OPTIONS rtsp://a/ RTSP/1.0\r\n");
        assert_eq!(head, Head::Other);
        assert_eq!(found.application, Application::Unknown);
    }

    #[test]
    fn a_line_without_end_does_not_grow_without_end() {
        let mut reader = Reader::default();
        let arrival = Arrival {
            side: Side::A,
            frame: Frame::new(0, 1),
            time: Timestamp(0),
        };
        let mut found = Recognised::default();
        for _ in 0..100 {
            reader.bytes(&[b'a'; 1000], &arrival, &mut found);
        }
        assert!(reader.line.len() <= MAX_LINE);
    }
}

//! Reads what PAM's modules write in the name of a server.

use super::reading::Reading;
use super::text::{Origin, first_word};
use crate::event::{Kind, Outcome};

/// Who says what stands behind `ruser=`, before the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ruser {
    /// The server leaves it empty, as sshd does.
    Empty,
    /// The server writes the user's name there, which the client chose, as FTP servers do.
    ChosenByClient,
}

/// Reads `pam_MODULE(SERVICE:auth): authentication failure; FIELDS` of a server that may write the client's words
/// behind `ruser=`. The service says which of the configurations of PAM was asked, and not who asked: Dropbear and
/// `ProFTPD`'s keyboard-interactive logins use that of sshd.
pub(super) fn module(message: &[u8]) -> Option<Reading<'_>> {
    // pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=ghost rhost=203.0.113.7
    let rest = after_word(message.strip_prefix(b"pam_")?)?.strip_prefix(b"(")?;
    let text = after_word(rest)?.strip_prefix(b":auth): authentication failure; ")?;
    let (origin, user) = fields(text, Ruser::ChosenByClient)?;
    Some(Reading { origin, user, ..Reading::new(Outcome::Failure, Kind::Pam) })
}

/// Reads `logname=… uid=… euid=… tty=… ruser=… rhost=HOST [ user=USER]` (Linux-PAM, `pam_unix_auth.c` and others). The
/// user's name stands last; `pam_unix` leaves it out for an account that does not exist, and the server's word for it is
/// taken then.
///
/// Where the client chose what stands behind `ruser=`, the host is known only if there is but one place for it.
pub(super) fn fields(text: &[u8], ruser: Ruser) -> Option<(Origin, Option<&[u8]>)> {
    let mut rest = text;
    for key in [&b"logname="[..], b"uid=", b"euid=", b"tty="] {
        (_, rest) = first_word(rest.strip_prefix(key)?)?;
    }
    let rest = rest.strip_prefix(b"ruser=")?;
    let (ruser, rest) = match ruser {
        Ruser::Empty => (&b""[..], first_word(rest)?.1.strip_prefix(b"rhost=")?),
        Ruser::ChosenByClient => {
            let mut places = (0..rest.len()).filter(|at| rest[*at..].starts_with(RHOST));
            let place = places.next()?;
            if places.next().is_some() {
                return Some((Origin::UNKNOWN, None));
            }
            (&rest[..place], &rest[place + RHOST.len()..])
        }
    };
    let (host, rest) = first_word(rest).unwrap_or((rest, b""));
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let user = match rest {
        b"" => Some(ruser).filter(|ruser| !ruser.is_empty()),
        _ => Some(rest.strip_prefix(b"user=")?),
    };
    Some((Origin::word(host), user))
}

fn after_word(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)).count();
    (end > 0).then(|| &text[end..])
}

const RHOST: &[u8] = b" rhost=";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ruser: &str) -> Option<Reading<'static>> {
        let text = format!(
            "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser={ruser} rhost=::ffff:203.0.113.7  user=alice"
        );
        module(text.leak().as_bytes())
    }

    #[test]
    fn the_host_is_read_behind_a_name_that_a_client_chose() {
        let reading = read("alice").unwrap();
        assert_eq!(reading.origin.address, Some("203.0.113.7".parse().unwrap()));
        assert_eq!((reading.kind, reading.user), (Kind::Pam, Some(&b"alice"[..])));
    }

    #[test]
    fn an_account_that_does_not_exist_is_named_by_the_server() {
        let text = b"pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=ghost rhost=203.0.113.7 ";
        assert_eq!(module(text).unwrap().user, Some(&b"ghost"[..]));
    }

    #[test]
    fn a_name_with_a_host_in_it_bans_nobody() {
        for ruser in [
            "x rhost=192.0.2.66  user=root",
            " rhost=192.0.2.66",
            " rhost=192.0.2.66 ",
            "x rhost= rhost=192.0.2.66",
            "x  user=y rhost=192.0.2.66",
        ] {
            let reading = read(ruser).unwrap();
            assert_eq!((reading.origin, reading.user), (Origin::UNKNOWN, None), "{ruser}");
        }
    }

    #[test]
    fn other_messages_of_pam_say_nothing() {
        for message in [
            "pam_unix(vsftpd:auth): check pass; user unknown",
            "pam_unix(vsftpd:session): session opened for user alice(uid=60001) by (uid=0)",
            "pam_listfile(vsftpd:auth): Refused user root for service vsftpd",
            "pam_unix(:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=203.0.113.7",
            "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x",
            "pam_",
        ] {
            assert_eq!(module(message.as_bytes()), None, "{message}");
        }
    }
}

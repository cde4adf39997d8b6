//! Says what an SSH server says first, to everybody who gets through.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use nix::sys::socket::{Shutdown, shutdown};

use crate::bed::Bed;
use crate::cpu;
use crate::guard::PORT;

/// What the server says.
pub const BANNER: &[u8] = b"SSH-2.0-OpenSSH_10.0\r\n";

/// A server on a bed's receiving side; it ends with this value.
pub struct Server {
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(bed: &Bed) -> Result<Self> {
        let listener = bed
            .receiver
            .within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))
            .context("cannot listen")?;
        let listener = Arc::new(listener);
        let thread = std::thread::spawn({
            let listener = Arc::clone(&listener);
            move || serve(&listener)
        });
        Ok(Self { listener, thread: Some(thread) })
    }
}

fn serve(listener: &TcpListener) -> Result<()> {
    cpu::pin(0, cpu::SENDER)?;
    cpu::put_first(0)?;
    // It fails once the listener is shut down.
    while let Ok((mut client, _)) = listener.accept() {
        // A client that has hung up is its own judge: it counts what it got.
        let _heard = client.write_all(BANNER);
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _down = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

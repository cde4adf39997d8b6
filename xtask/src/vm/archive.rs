//! The archive that a kernel unpacks into its first file system (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// An archive that grows by what is added.
#[derive(Clone, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

impl Archive {
    /// Adds a folder; those above it must be there.
    pub fn folder(&mut self, path: &str) {
        self.add(path, FOLDER, &[]);
    }

    /// Adds a file that can be read and run.
    pub fn file(&mut self, path: &str, contents: &[u8]) {
        self.add(path, PROGRAM, contents);
    }

    /// Adds a copy of a file of this machine.
    pub fn copy(&mut self, path: &str, of: &Path) -> Result<()> {
        let contents = fs::read(of).with_context(|| format!("cannot read '{}'", of.display()))?;
        self.file(path, &contents);
        Ok(())
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        self.add(path, LINK, to.as_bytes());
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn add(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.files += 1;
        // Files of one number and one device would be names of the same file.
        let (name, number) = (path.trim_start_matches('/'), self.files);
        let size = u32::try_from(contents.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // Number, mode, user, group, names, time, size, four numbers of devices, length of the name, no checksum.
        let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
        self.bytes.extend(b"070701");
        self.bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_its_files_in_the_form_that_kernels_read() {
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.file("/bin/a", b"hello");
        archive.link("bin/b", "a");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes).replace('\0', ".");
        let header = |number: u32, mode: &str, size: u32, length: u32| {
            format!(
                "070701{number:08x}{mode}{z}{z}{one}{z}{size:08x}{z}{z}{z}{z}{length:08x}{z}",
                z = "00000000",
                one = "00000001"
            )
        };
        let expected = [
            header(1, "000041ed", 0, 4) + "bin...",
            header(2, "000081ed", 5, 6) + "bin/a.hello...",
            header(3, "0000a1ff", 1, 6) + "bin/b.a...",
            header(4, "00000000", 0, 11) + "TRAILER!!!....",
        ];
        assert_eq!(text, expected.concat());
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_that_names_it() {
        let error = Archive::default().copy("x", Path::new("/nonexistent/file")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot read '/nonexistent/file': "), "{error:#}");
    }
}

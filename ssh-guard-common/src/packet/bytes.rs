//! Where a packet's bytes are.

/// The bytes of a packet.
pub trait Bytes {
    /// A stretch of `N` of them that is there.
    type Stretch<const N: usize>: Stretch;

    /// The `N` bytes that start `offset` bytes into the packet, if it has them. This is the one place where bounds
    /// are checked.
    fn stretch<const N: usize>(&self, offset: usize) -> Option<Self::Stretch<N>>;

    /// The same offset, of an end of a header that was read. Ways of different lengths come together here: where there is a
    /// verifier, it can tell them apart no longer, and goes on with one of them for all.
    #[inline(always)]
    #[must_use]
    fn joined(&self, offset: usize) -> usize {
        offset
    }

    /// The same port, in the same way: each guarded port leaves a number behind, too.
    #[inline(always)]
    #[must_use]
    fn joined_port(&self, port: u16) -> u16 {
        port
    }
}

/// A stretch of a packet, read at places that are known when it is compiled.
pub trait Stretch: Copy {
    /// The byte at `AT`.
    fn byte<const AT: usize>(self) -> u8;
    /// The two bytes from `AT` on, a number in network order.
    fn short<const AT: usize>(self) -> u16;
    /// The four bytes from `AT` on, as they stand in memory.
    fn word<const AT: usize>(self) -> u32;
}

/// A stretch that can be read from a later place on, as if it began there.
pub trait Divisible: Stretch {
    /// The stretch without its first `AT` bytes.
    #[must_use]
    fn behind<const AT: usize>(self) -> Self;
}

impl<'a> Bytes for &'a [u8] {
    type Stretch<const N: usize> = &'a [u8];

    fn stretch<const N: usize>(&self, offset: usize) -> Option<&'a [u8]> {
        self.get(offset..)?.get(..N)
    }
}

impl Stretch for &[u8] {
    fn byte<const AT: usize>(self) -> u8 {
        self[AT]
    }

    fn short<const AT: usize>(self) -> u16 {
        u16::from_be_bytes([self[AT], self[AT + 1]])
    }

    fn word<const AT: usize>(self) -> u32 {
        u32::from_ne_bytes([self[AT], self[AT + 1], self[AT + 2], self[AT + 3]])
    }
}

impl Divisible for &[u8] {
    fn behind<const AT: usize>(self) -> Self {
        &self[AT..]
    }
}

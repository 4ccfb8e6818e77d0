//! AES-CBC with PKCS#7 padding, as a stream (RFC 8216, 4.3.2.4).

use std::io::{self, Read};

use aes::{Aes128, Aes256};
use cbc::cipher::{Block, BlockModeDecrypt, KeyIvInit};

use crate::error::{Error, ErrorKind};

const BLOCK: usize = 16;
const BUFFER_BYTES: usize = 64 << 10;

/// A key as its method has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AesKey {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

/// Decrypts whole blocks in place, one call after the other.
type Decrypt = Box<dyn FnMut(&mut [u8]) + Send>;

fn decryptor(key: &AesKey, iv: &[u8; BLOCK]) -> Decrypt {
    match key {
        AesKey::Aes128(key) => blocks(cbc::Decryptor::<Aes128>::new(key.into(), iv.into())),
        AesKey::Aes256(key) => blocks(cbc::Decryptor::<Aes256>::new(key.into(), iv.into())),
    }
}

fn blocks<C: BlockModeDecrypt + Send + 'static>(mut cipher: C) -> Decrypt {
    Box::new(move |bytes| {
        for block in bytes.chunks_exact_mut(BLOCK) {
            if let Ok(block) = <&mut Block<C>>::try_from(block) {
                cipher.decrypt_block(block);
            }
        }
    })
}

/// Decrypts what it reads. The last block is held back until it is known to be the last.
pub(super) struct CbcReader<R> {
    reader: R,
    decrypt: Decrypt,
    buffer: Vec<u8>,
    /// Plain bytes that are ready: `ready.0..ready.1` of the buffer.
    ready: (usize, usize),
    /// Plain bytes behind those, held back.
    held: usize,
    ended: bool,
}

impl<R: Read> CbcReader<R> {
    pub(super) fn new(reader: R, key: &AesKey, iv: &[u8; BLOCK]) -> Self {
        Self {
            reader,
            decrypt: decryptor(key, iv),
            buffer: vec![0; BUFFER_BYTES],
            ready: (0, 0),
            held: 0,
            ended: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        let kept = self.ready.1..self.ready.1 + self.held;
        self.buffer.copy_within(kept, 0);
        let mut filled = self.held;
        while filled < self.buffer.len() && !self.ended {
            match self.reader.read(&mut self.buffer[filled..]) {
                Ok(0) => self.ended = true,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let fresh = &mut self.buffer[self.held..filled];
        if !fresh.len().is_multiple_of(BLOCK) {
            return Err(fault(ErrorKind::Media, "cut short: its encrypted size is no multiple of 16"));
        }
        (self.decrypt)(fresh);
        if self.ended {
            let padding = padding(&self.buffer[..filled])?;
            (self.ready, self.held) = ((0, filled - padding), 0);
        } else {
            (self.ready, self.held) = ((0, filled - BLOCK), BLOCK);
        }
        Ok(())
    }
}

/// Length of the padding at the end.
fn padding(plain: &[u8]) -> io::Result<usize> {
    let Some(last) = plain.last() else { return Ok(0) };
    let length = usize::from(*last);
    let good = (1..=BLOCK).contains(&length) && plain.iter().rev().take(length).all(|b| b == last);
    if good { Ok(length) } else { Err(fault(ErrorKind::Key, "key rejected: what it decrypts to has bad padding")) }
}

fn fault(kind: ErrorKind, message: &str) -> io::Error {
    io::Error::other(Error::new(kind, message).with_hint("check the key, the IV and that the segment is complete"))
}

impl<R: Read> Read for CbcReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready.0 == self.ready.1 && !self.ended {
            self.refill()?;
        }
        let plain = &self.buffer[self.ready.0..self.ready.1];
        let n = plain.len().min(out.len());
        out[..n].copy_from_slice(&plain[..n]);
        self.ready.0 += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbc::cipher::{BlockModeEncrypt, block_padding::Pkcs7};
    use proptest::prelude::*;

    fn encrypted(plain: &[u8]) -> Vec<u8> {
        let mut bytes = plain.to_vec();
        bytes.resize(plain.len() + BLOCK, 0);
        let cipher = cbc::Encryptor::<Aes128>::new(&[7; 16].into(), &[9; 16].into());
        cipher.encrypt_padded::<Pkcs7>(&mut bytes, plain.len()).unwrap().to_vec()
    }

    fn decrypt(bytes: &[u8], key: u8) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        CbcReader::new(bytes, &AesKey::Aes128([key; 16]), &[9; 16]).read_to_end(&mut plain)?;
        Ok(plain)
    }

    proptest! {
        #[test]
        fn gives_back_what_was_encrypted(length in prop_oneof![0usize..70, BUFFER_BYTES - 20..BUFFER_BYTES + 40]) {
            let plain: Vec<u8> = (0..length).map(|i| (i * 31) as u8).collect();
            prop_assert_eq!(decrypt(&encrypted(&plain), 7).unwrap(), plain);
        }
    }

    #[test]
    fn refuses_a_wrong_key_and_a_cut() {
        // No byte that could pass for padding.
        let bytes = encrypted(&[200; 1000]);
        assert_eq!(Error::io("", decrypt(&bytes, 8).unwrap_err()).kind(), ErrorKind::Key);
        assert_eq!(Error::io("", decrypt(&bytes[..999], 7).unwrap_err()).kind(), ErrorKind::Media);
        assert_eq!(Error::io("", decrypt(&bytes[..992], 7).unwrap_err()).kind(), ErrorKind::Key);
    }
}

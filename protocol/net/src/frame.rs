//! Frames on a byte stream: a length of four bytes, big-endian, then that many bytes.
//!
//! The same framing serves a QUIC stream, a Unix socket and an in-memory pipe. Every read has a bound, which is checked
//! before anything is reserved; memory then grows with the bytes that really come, so that announcing a large frame
//! alone costs us nothing.

use std::io;
use std::time::Duration;

use bocage_protocol::limits::FRAME_BYTES;
use bocage_protocol::wire::codec::{self, CodecError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reserved at first for a frame, however long it says it is.
const FIRST_BYTES: usize = 16 << 10;

/// Reserved next, as a multiple of what has come: few steps, since each leaves its old bytes behind for a while.
const GROWTH: usize = 16;

/// Why a frame was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended where a frame would begin: the peer has nothing more to say.
    #[error("the stream has ended")]
    Ended,
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
    /// The peer began a frame and then said nothing.
    #[error("nothing came for {secs} s within a frame")]
    Stalled {
        /// For so long.
        secs: u64,
    },
    /// The frame is longer than allowed here.
    #[error("frame of {bytes} bytes where {limit_bytes} are allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The bound.
        limit_bytes: usize,
    },
    /// The frame holds no message of the wanted kind.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The stream failed.
    #[error("stream failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads the next frame, of at most `limit_bytes`. Not safe to cancel: a cancelled read loses its place in the stream.
///
/// # Errors
/// [`FrameError::Ended`] when there is none; everything else leaves the stream unusable.
pub async fn read_frame<R>(reader: &mut R, limit_bytes: usize) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    read(reader, limit_bytes, None).await
}

/// [`read_frame`] of a peer that may take its time to begin, and then must say something within each `stall`.
///
/// # Errors
/// As [`read_frame`], and [`FrameError::Stalled`].
pub async fn read_frame_steadily<R>(reader: &mut R, limit_bytes: usize, stall: Duration) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    read(reader, limit_bytes, Some(stall)).await
}

async fn read<R>(reader: &mut R, limit_bytes: usize, stall: Option<Duration>) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let bytes = read_length(reader, stall).await?;
    if bytes > limit_bytes {
        return Err(FrameError::TooLarge { bytes, limit_bytes });
    }
    let mut payload = Vec::with_capacity(bytes.min(FIRST_BYTES));
    while payload.len() < bytes {
        let missing = (bytes - payload.len()) as u64;
        if within(stall, reader.take(missing).read_buf(&mut payload)).await? == 0 {
            return Err(FrameError::Truncated);
        }
        if payload.len() == payload.capacity() && payload.len() < bytes {
            payload.reserve_exact((payload.len() * (GROWTH - 1)).min(bytes - payload.len()));
        }
    }
    Ok(payload)
}

async fn read_length<R>(reader: &mut R, stall: Option<Duration>) -> Result<usize, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut length = [0; 4];
    let mut have = 0;
    while have < length.len() {
        match within(stall.filter(|_| have > 0), reader.read(&mut length[have..])).await? {
            0 if have == 0 => return Err(FrameError::Ended),
            0 => return Err(FrameError::Truncated),
            read => have += read,
        }
    }
    Ok(u32::from_be_bytes(length) as usize)
}

/// What is read, within so long.
async fn within(stall: Option<Duration>, read: impl Future<Output = io::Result<usize>>) -> Result<usize, FrameError> {
    let Some(stall) = stall else { return Ok(read.await?) };
    let stalled = |_| FrameError::Stalled { secs: stall.as_secs() };
    Ok(tokio::time::timeout(stall, read).await.map_err(stalled)??)
}

/// Writes `payload` as one frame and flushes.
///
/// # Errors
/// [`FrameError::TooLarge`] beyond [`FRAME_BYTES`], before anything is written.
pub async fn write_frame<W>(writer: &mut W, payload: &[u8]) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let too_large = FrameError::TooLarge { bytes: payload.len(), limit_bytes: FRAME_BYTES };
    if payload.len() > FRAME_BYTES {
        return Err(too_large);
    }
    let length = u32::try_from(payload.len()).map_err(|_| too_large)?;
    // A small frame in one piece: two would make two packets of it.
    let (together, rest) = payload.split_at(payload.len().min(FIRST_BYTES));
    writer.write_all(&[&length.to_be_bytes(), together].concat()).await?;
    writer.write_all(rest).await?;
    writer.flush().await?;
    Ok(())
}

/// Reads the next frame as a message.
///
/// # Errors
/// As [`read_frame`], and [`FrameError::Codec`] when the frame is no `T`; the stream may be used on after the latter.
pub async fn read_message<T, R>(reader: &mut R, limit_bytes: usize) -> Result<T, FrameError>
where
    T: DeserializeOwned,
    R: AsyncRead + Unpin + ?Sized,
{
    Ok(codec::decode(&read_frame(reader, limit_bytes).await?, limit_bytes)?)
}

/// Writes a message as one frame and flushes.
///
/// # Errors
/// As [`write_frame`], and [`FrameError::Codec`] when the value is too large or cannot be written.
pub async fn write_message<T, W>(writer: &mut W, message: &T) -> Result<(), FrameError>
where
    T: Serialize,
    W: AsyncWrite + Unpin + ?Sized,
{
    // The value is encoded before the first await, so that the future is `Send` whatever `T` is.
    let payload = codec::encode(message);
    write_frame(writer, &payload?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bytes` hold when they come `chunk` at a time.
    async fn read_all(bytes: &[u8], chunk: usize, limit_bytes: usize) -> (Vec<Vec<u8>>, FrameError) {
        let (mut ours, mut theirs) = tokio::io::duplex(chunk);
        let send = async move { ours.write_all(bytes).await };
        let receive = async {
            let mut frames = Vec::new();
            loop {
                match read_frame(&mut theirs, limit_bytes).await {
                    Ok(frame) => frames.push(frame),
                    Err(error) => {
                        drop(theirs);
                        return (frames, error);
                    }
                }
            }
        };
        tokio::join!(send, receive).1
    }

    #[tokio::test]
    async fn who_falls_silent_within_a_frame_is_given_up_and_who_has_not_begun_is_waited_for() {
        let stall = Duration::from_millis(20);
        for half in [&[0, 0][..], &[0, 0, 0, 9, 1, 2]] {
            let (mut ours, mut theirs) = tokio::io::duplex(64);
            ours.write_all(half).await.unwrap();
            let error = read_frame_steadily(&mut theirs, 10, stall).await.unwrap_err();
            assert!(matches!(error, FrameError::Stalled { .. }), "{error}");
        }
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let waiting = read_frame_steadily(&mut theirs, 10, stall);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(5 * stall, &mut waiting).await.is_err());
        write_frame(&mut ours, b"late").await.unwrap();
        assert_eq!(waiting.await.unwrap(), b"late");
    }

    #[tokio::test]
    async fn frames_read_back_however_the_bytes_are_cut() {
        let long: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        let mut bytes = Vec::new();
        for payload in [&b"abc"[..], b"", &long] {
            write_frame(&mut bytes, payload).await.unwrap();
        }
        for chunk in [1, 3, 4096, 1 << 20] {
            let (frames, end) = read_all(&bytes, chunk, 100_000).await;
            assert_eq!(frames, [b"abc".to_vec(), vec![], long.clone()]);
            assert!(matches!(end, FrameError::Ended));
        }
    }

    #[tokio::test]
    async fn a_frame_beyond_the_limit_is_refused_before_its_bytes_come() {
        let (frames, error) = read_all(&11_u32.to_be_bytes(), 64, 10).await;
        assert!(frames.is_empty());
        assert!(matches!(error, FrameError::TooLarge { bytes: 11, limit_bytes: 10 }));
        let refused = write_frame(&mut Vec::new(), &vec![0; FRAME_BYTES + 1]).await;
        assert!(matches!(refused, Err(FrameError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_frame_that_breaks_off_is_told_from_the_end() {
        for bytes in [&[0, 0][..], &[0, 0, 0, 9], &[0, 0, 0, 9, 1, 2]] {
            assert!(matches!(read_all(bytes, 64, 10).await.1, FrameError::Truncated));
        }
        assert!(matches!(read_all(&[], 64, 10).await.1, FrameError::Ended));
    }

    #[tokio::test]
    async fn a_message_reads_back_and_a_wrong_one_leaves_the_stream_usable() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &[9, 9, 9]).await.unwrap();
        write_message(&mut bytes, &("text".to_owned(), 7_u8)).await.unwrap();
        let mut reader = bytes.as_slice();
        let wrong = read_message::<(String, u8), _>(&mut reader, 100).await;
        assert!(matches!(wrong, Err(FrameError::Codec(_))));
        assert_eq!(read_message::<(String, u8), _>(&mut reader, 100).await.unwrap(), ("text".to_owned(), 7));
    }
}

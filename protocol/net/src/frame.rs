//! Frames on a byte stream: a length of four bytes, big-endian, then that many bytes.
//!
//! The same framing serves a QUIC stream, a Unix socket and an in-memory pipe. Every read has a bound, which is checked
//! before anything is reserved; memory then grows with the bytes that really come, so that announcing a large frame
//! alone costs us nothing.

use std::io;
use std::time::Duration;

use bocage_protocol::limits::{FRAME_BYTES, LEAST_BYTES_PER_SEC};
use bocage_protocol::wire::codec::{self, CodecError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

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
    /// The peer opened a stream and put nothing on it.
    #[error("nothing came in {secs} s")]
    NotBegun {
        /// For so long.
        secs: u64,
    },
    /// The peer sends a frame so slowly that it would take for ever.
    #[error("{came} of a frame's {bytes} bytes came in {secs} s, and {} a second are the least", LEAST_BYTES_PER_SEC)]
    Slow {
        /// So many came.
        came: usize,
        /// Of so many.
        bytes: usize,
        /// In so long.
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

/// How steadily a peer sends a frame.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    /// It begins within so long; none: it may take its time.
    pub begins: Option<Duration>,
    /// Having begun it says something within each of these, and all of it within two of them beside what [`LEAST_BYTES_PER_SEC`] takes.
    pub stall: Duration,
}

/// [`read_frame`] of a peer that sends steadily, or is given up.
///
/// # Errors
/// As [`read_frame`], and [`FrameError::NotBegun`], [`FrameError::Stalled`], [`FrameError::Slow`].
pub async fn read_frame_steadily<R>(reader: &mut R, limit_bytes: usize, steady: Steady) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    read(reader, limit_bytes, Some(steady)).await
}

async fn read<R>(reader: &mut R, limit_bytes: usize, steady: Option<Steady>) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut length = [0; 4];
    if begins(steady.and_then(|steady| steady.begins), reader.read(&mut length[..1])).await? == 0 {
        return Err(FrameError::Ended);
    }
    let mut coming = Coming { stall: steady.map(|steady| steady.stall), begun: Instant::now(), came: 1, bytes: 4 };
    while coming.came < length.len() {
        let next = reader.read(&mut length[coming.came..]);
        coming.more(next).await?;
    }
    let bytes = u32::from_be_bytes(length) as usize;
    if bytes > limit_bytes {
        return Err(FrameError::TooLarge { bytes, limit_bytes });
    }
    coming.bytes += bytes;
    let mut payload = Vec::with_capacity(bytes.min(FIRST_BYTES));
    while payload.len() < bytes {
        let missing = (bytes - payload.len()) as u64;
        coming.more(reader.take(missing).read_buf(&mut payload)).await?;
        if payload.len() == payload.capacity() && payload.len() < bytes {
            payload.reserve_exact((payload.len() * (GROWTH - 1)).min(bytes - payload.len()));
        }
    }
    Ok(payload)
}

/// The first that is read, within so long.
async fn begins(within: Option<Duration>, read: impl Future<Output = io::Result<usize>>) -> Result<usize, FrameError> {
    let Some(within) = within else { return Ok(read.await?) };
    let late = |_| FrameError::NotBegun { secs: within.as_secs() };
    Ok(tokio::time::timeout(within, read).await.map_err(late)??)
}

/// A frame that has begun, its length included.
struct Coming {
    stall: Option<Duration>,
    begun: Instant,
    came: usize,
    bytes: usize,
}

impl Coming {
    /// Takes in what is read next, if it comes in time.
    async fn more(&mut self, read: impl Future<Output = io::Result<usize>>) -> Result<(), FrameError> {
        let came = match self.stall {
            None => read.await?,
            Some(stall) => {
                let left = self.left(stall, self.begun.elapsed());
                tokio::time::timeout(stall.min(left), read).await.map_err(|_| match left < stall {
                    true => {
                        FrameError::Slow { came: self.came, bytes: self.bytes, secs: self.begun.elapsed().as_secs() }
                    }
                    false => FrameError::Stalled { secs: stall.as_secs() },
                })??
            }
        };
        if came == 0 {
            return Err(FrameError::Truncated);
        }
        self.came += came;
        Ok(())
    }

    /// How long all of it may still take: what its bytes take at the least rate, and two silences.
    fn left(&self, stall: Duration, elapsed: Duration) -> Duration {
        let at_least_rate = Duration::from_secs_f64(self.bytes as f64 / LEAST_BYTES_PER_SEC as f64);
        (2 * stall + at_least_rate).saturating_sub(elapsed)
    }
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
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

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
        let stall = Duration::from_millis(200);
        let steady = Steady { begins: None, stall };
        for half in [&[0, 0][..], &[0, 0, 0, 9, 1, 2]] {
            let (mut ours, mut theirs) = tokio::io::duplex(64);
            ours.write_all(half).await.unwrap();
            let error = read_frame_steadily(&mut theirs, 10, steady).await.unwrap_err();
            assert!(matches!(error, FrameError::Stalled { .. }), "{error}");
        }
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let waiting = read_frame_steadily(&mut theirs, 10, steady);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(5 * stall, &mut waiting).await.is_err());
        write_frame(&mut ours, b"late").await.unwrap();
        assert_eq!(waiting.await.unwrap(), b"late");
    }

    #[tokio::test]
    async fn who_does_not_begin_in_time_is_given_up_where_that_is_wanted() {
        let (_ours, mut theirs) = tokio::io::duplex(64);
        let within = Duration::from_millis(20);
        let error = read_frame_steadily(&mut theirs, 10, Steady { begins: Some(within), stall: within }).await;
        assert!(matches!(error, Err(FrameError::NotBegun { .. })));
    }

    /// A byte of an endless frame each time that the clock ticks.
    struct Drip(tokio::time::Interval, u8);

    impl AsyncRead for Drip {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            std::task::ready!(self.0.poll_tick(cx));
            let length = [0, 0, 4, 0];
            to.put_slice(&[length.get(usize::from(self.1)).copied().unwrap_or(9)]);
            self.1 = self.1.saturating_add(1);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_frame_that_comes_byte_by_byte_is_given_up_although_nothing_stalls() {
        let mut drip = Drip(tokio::time::interval(Duration::from_millis(40)), 0);
        let steady = Steady { begins: None, stall: Duration::from_millis(800) };
        let error = read_frame_steadily(&mut drip, 2000, steady).await.unwrap_err();
        assert!(matches!(error, FrameError::Slow { came: 10..500, bytes: 1028, .. }), "{error}");
    }

    #[test]
    fn a_line_at_the_least_rate_brings_a_whole_frame_and_a_byte_every_nineteen_seconds_ends_soon() {
        let stall = Duration::from_secs(20);
        let left = |bytes: usize, secs| {
            let coming = Coming { stall: Some(stall), begun: Instant::now(), came: 1, bytes };
            coming.left(stall, Duration::from_secs(secs)).as_secs()
        };
        let rate = LEAST_BYTES_PER_SEC;
        assert_eq!(left(FRAME_BYTES, FRAME_BYTES as u64 / rate), 40, "with all silences left over");
        assert_eq!((left(1024, 19), left(1024, 38), left(1024, 41)), (22, 3, 0));
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

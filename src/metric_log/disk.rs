//! The interface to the file system: so few operations that a test can make any of them fail, write half, or be forgotten.

use std::{
    fmt, fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A file system. [`RealDisk`] is the only one outside tests.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens for reading and writing; an absent file is created empty.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Whether a file of that name exists.
    ///
    /// # Errors
    /// As the file system says.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Renames within a folder, replacing the target.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a folder with its parents.
    ///
    /// # Errors
    /// As the file system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the names of a folder durable after files were created or renamed.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes a lock that ends with this process at the latest; none if another process has it.
    ///
    /// # Errors
    /// As the file system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// Paths of the files in a folder; none when it is absent.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(
    #[expect(dead_code, reason = "dropping it is its use")] Box<dyn fmt::Debug + Send + Sync>,
);

impl Lock {
    /// Wraps something that releases the lock when it is dropped.
    pub fn new(guard: impl fmt::Debug + Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

/// An open file, written by one owner.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Size in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes from an offset; 0 at the end.
    ///
    /// # Errors
    /// As the file system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// As the file system says; part of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off, or extends it with zeros.
    ///
    /// # Errors
    /// As the file system says.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Returns once everything written is durable. After an error, nothing is known about what is.
    ///
    /// # Errors
    /// As the file system says.
    fn sync(&self) -> io::Result<()>;
}

/// Writes a part of a file over itself, to be followed by a sync.
///
/// After a sync that failed, in this process or an earlier one, the operating system may regard pages as clean that never
/// reached the disk: they read back well until the power goes, and no later sync writes them. Writing them again makes
/// them dirty, so that the next sync does.
///
/// # Errors
/// As the file system says.
pub fn rewrite_in_place(file: &dyn DiskFile, from: u64, end: u64) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 20];
    let mut at = from;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(chunk.len());
        let wanted = wanted.min(chunk.len());
        let read = file.read_at(at, &mut chunk[..wanted])?;
        if read == 0 {
            break;
        }
        file.write_at(at, &chunk[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(path) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

#[derive(Debug)]
struct RealFile(fs::File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        FileExt::write_all_at(&self.0, bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

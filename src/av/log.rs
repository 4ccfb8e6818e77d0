//! What libav logs, kept for the job whose thread it was logged on.
//!
//! libav has one log callback for the whole process. Ours is installed once and keeps lines
//! only on threads that hold a [`LogScope`]; on all others libav's own default goes on, so a
//! program that links this crate and uses libav itself sees no difference. The global log
//! level is never touched.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use ffmpeg_next::ffi;

/// Lines kept for a scope; older ones go first.
const KEPT_LINES: usize = 16;

#[cfg(all(target_arch = "x86_64", not(windows)))]
type VaList = *mut ffi::__va_list_tag;
#[cfg(not(all(target_arch = "x86_64", not(windows))))]
type VaList = ffi::va_list;

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// While it lives, what libav logs as an error on this thread is kept instead of printed.
///
/// Scopes of one thread nest; the outermost owns the lines.
pub(crate) struct LogScope {
    outermost: bool,
    /// Tied to its thread.
    _not_send: PhantomData<*const ()>,
}

impl LogScope {
    /// Begins to keep lines on this thread.
    pub(crate) fn enter() -> Self {
        super::init();
        let outermost = LINES.with_borrow_mut(|lines| {
            let outermost = lines.is_none();
            lines.get_or_insert_default();
            outermost
        });
        Self { outermost, _not_send: PhantomData }
    }
}

impl Drop for LogScope {
    fn drop(&mut self) {
        if self.outermost {
            LINES.with_borrow_mut(|lines| *lines = None);
        }
    }
}

/// The newest error line of this thread's scope, taken out of it.
pub(super) fn last_error() -> Option<String> {
    LINES.with_borrow_mut(|lines| {
        let lines = lines.as_mut()?;
        let last = lines.pop();
        lines.clear();
        last
    })
}

/// Runs `work`, and tells whether libav logged an error on this thread meanwhile. Nothing of that is kept.
pub(super) fn listening<T>(work: impl FnOnce() -> T) -> (T, bool) {
    let before = LINES.with_borrow_mut(|lines| lines.replace(Vec::new()));
    let result = work();
    let heard = LINES.with_borrow_mut(|lines| std::mem::replace(lines, before));
    (result, heard.is_some_and(|lines| !lines.is_empty()))
}

/// Runs `work`; what libav logs on this thread meanwhile is forgotten.
pub(crate) fn unheard<T>(work: impl FnOnce() -> T) -> T {
    listening(work).0
}

pub(super) fn install() {
    // SAFETY: the callback is a plain function that lives as long as the process.
    unsafe { ffi::av_log_set_callback(Some(callback)) };
}

unsafe extern "C" fn callback(context: *mut c_void, level: c_int, format: *const c_char, arguments: VaList) {
    let kept = LINES.try_with(|lines| match lines.try_borrow_mut() {
        Ok(mut lines) => match lines.as_mut() {
            Some(lines) => {
                if level <= ffi::AV_LOG_ERROR as c_int {
                    // SAFETY: all four come from libav as they are.
                    let line = unsafe { format_line(context, level, format, arguments) };
                    if lines.len() == KEPT_LINES {
                        lines.remove(0);
                    }
                    lines.push(line);
                }
                true
            }
            None => false,
        },
        // Logged from inside this function: nothing to keep.
        Err(_) => true,
    });
    if !kept.unwrap_or(false) {
        // SAFETY: the arguments are passed on unchanged and were not read before.
        unsafe { ffi::av_log_default_callback(context, level, format, arguments) };
    }
}

/// # Safety
/// The arguments must be those that libav called the log callback with.
unsafe fn format_line(context: *mut c_void, level: c_int, format: *const c_char, arguments: VaList) -> String {
    let mut buffer: [c_char; 512] = [0; 512];
    let mut print_prefix = 1;
    // SAFETY: the buffer's length is passed along; libav terminates what it writes.
    unsafe {
        ffi::av_log_format_line(context, level, format, arguments, buffer.as_mut_ptr(), 512, &raw mut print_prefix);
        without_prefixes(&CStr::from_ptr(buffer.as_ptr()).to_string_lossy()).to_owned()
    }
}

/// Without "[h264 @ 0x55…] ", of which there may be two: the address says nothing and differs from run to run.
fn without_prefixes(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some((prefix, text)) = rest.strip_prefix('[').and_then(|r| r.split_once("] ")) {
        if !prefix.contains(" @ ") {
            break;
        }
        rest = text.trim_start();
    }
    rest
}

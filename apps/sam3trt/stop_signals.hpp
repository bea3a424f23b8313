#pragma once

namespace sam3trt {

/// From now on Ctrl-C (SIGINT), SIGTERM and SIGHUP end the program as they should: what is half
/// written is removed, then the program dies by that signal, so that its parent sees 128 + number.
/// Those that the parent has set to be ignored (nohup) stay ignored. Writes beyond the largest file
/// size, and to a pipe without readers, become errors. Call it once, first of all; throws
/// Error(kInternal) when the system refuses.
void end_cleanly_on_signals();

/// For a program whose reader has gone: dies as if SIGPIPE had not been held back.
[[noreturn]] void die_of_broken_pipe();

}  // namespace sam3trt

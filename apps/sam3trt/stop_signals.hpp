#pragma once

#include <sys/types.h>

#include <functional>

namespace sam3trt {

/// From now on Ctrl-C (SIGINT), SIGTERM and SIGHUP end the program as they should: what is half
/// written is removed, then the program dies by that signal, so that its parent sees 128 + number.
/// Those that the parent has set to be ignored (nohup) stay ignored. Writes beyond the largest file
/// size, and to a pipe without readers, become errors. Call it once, first of all; throws
/// Error(kInternal) when the system refuses.
void end_cleanly_on_signals();

/// What is done when such a signal comes, on a thread of its own, before what is half written is
/// removed; other threads go on meanwhile. Empty: nothing. Afterwards the program dies by the
/// signal, unless it `ends_itself`. An action that is at work is waited for, so that what it uses
/// may go when this function has returned; an action must not call it.
void set_stop_action(std::function<void()> action, bool ends_itself = false);

/// fork() for a child that the signals above reach through this process: it is told to end, its
/// stop action is carried out, and this process waits for it before it dies itself. Should this
/// process be killed, the child is killed, too. Returns 0 in the child; throws Error(kInternal)
/// when there cannot be one. One child at a time.
[[nodiscard]] pid_t fork_with_signals();

/// The child was waited for. Does not return when the program is about to die by a signal.
void worker_has_ended();

/// Dies by a signal, as the parent will see.
[[noreturn]] void die_by_signal(int signal);

/// For a program whose reader has gone: dies as if SIGPIPE had not been held back.
[[noreturn]] void die_of_broken_pipe();

}  // namespace sam3trt

-- Counts nothing itself: every answer is written to a log, which the bench reads afterwards, so
-- that what a run claims about its answers can be checked one by one.
-- BENCH_LOG  a path; each thread writes "<status> <what>" a line to <path>.<thread number>, where
--            <what> is "<claim id> <serial>" of a win, the code of a problem, or nothing.
local answers = {}

local log

function answers.open(thread_number)
    log = assert(io.open(os.getenv("BENCH_LOG") .. "." .. thread_number, "w"))
    log:setvbuf("full", 1048576)
end

function answers.note(status, what)
    log:write(status, " ", what or "", "\n")
end

-- One line of JSON, the last that wrk prints.
function answers.summary(summary, latency)
    local errors = summary.errors
    local broken = errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format(
        '{"duration_us":%d,"requests":%d,"socket_errors":%d,"p50_us":%d,"p99_us":%d}\n',
        summary.duration, summary.requests, broken,
        latency:percentile(50), latency:percentile(99)))
end

return answers

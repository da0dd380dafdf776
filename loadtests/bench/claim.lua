-- Claims with bearer tokens from a file, one a line.
-- BENCH_TOKENS  the file; thread n of m takes lines n, n + m, n + 2m, ...
-- BENCH_TURNS   "once": a token is used for one request, and a thread without tokens stops;
--               "again": a thread without tokens starts over.
local answers = require("answers")

local threads = 0
local requests = {}
local sent = 0
local once = os.getenv("BENCH_TURNS") == "once"

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

-- wrk calls this for all threads before its clock starts, so requests cost nothing while it runs.
function init(args)
    answers.open(number)
    local line_number = 0
    for token in io.lines(os.getenv("BENCH_TOKENS")) do
        if line_number % tonumber(args[1]) == number then
            requests[#requests + 1] = wrk.format("POST", nil, {
                ["Authorization"] = "Bearer " .. token,
            })
        end
        line_number = line_number + 1
    end
end

function request()
    if sent == #requests then
        if once then
            answers.note("exhausted")
            wrk.thread:stop()
        else
            sent = 0
        end
    end
    sent = math.min(sent + 1, #requests)
    return requests[sent]
end

function response(status, _, body)
    if status == 201 or status == 200 then
        local id, serial = body:match('^{"claim_id":"([^"]+)".-"serial":(%d+)')
        answers.note(status, id and (id .. " " .. serial) or "unreadable")
    else
        answers.note(status, body:match('"code":"([a-z_]+)"'))
    end
end

function done(summary, latency)
    answers.summary(summary, latency)
end

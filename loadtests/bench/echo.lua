-- The same small body again and again.
local answers = require("answers")

local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init()
    answers.open(number)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"holder":"resident-000000","amount_fen":5000}'
end

function response(status)
    answers.note(status)
end

function done(summary, latency)
    answers.summary(summary, latency)
end

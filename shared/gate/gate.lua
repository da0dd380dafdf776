#!lua name=fairdrop
-- The gate of a drop: it counts permits, the ledger decides. All keys of one drop share a hash tag.
--
-- KEYS[1]  gate     hash: version, permits, state, opens_us, closes_us, rank
-- KEYS[2]  holders  set of holder keys that were given a permit; best effort, never believed alone
--
-- A statement is what the ledger said about a drop: version, permits (= quota - live claims),
-- state, opens_us, closes_us. The gate takes it unless its own version is newer, so a late message
-- cannot undo a newer one, and equal versions repair a gate that lost count.
-- Times are microseconds since the epoch, on this server's clock plus the deployment's offset.

local PERMIT, SEEN, NONE_FREE = 'P', 'S', 'N'
local NOT_OPEN, CLOSED, PAUSED, NOT_LOADED = 'E', 'C', 'Z', 'L'

-- A count as `take` writes it. What only resembles one (1e30, 007) could never be denied.
local function is_count(text)
    return text and string.match(text, '^%d+$') and string.format('%.0f', tonumber(text)) == text
end

-- The fields of the last statement, or nil: what cannot be read was not written by `take`, and the
-- ledger will say how the drop stands.
local function read(gate)
    local held = redis.call('HMGET', gate, 'version', 'permits', 'state', 'opens_us', 'closes_us')
    for n = 1, 5 do
        if not held[n] or (n ~= 3 and not is_count(held[n])) then
            return nil
        end
    end
    return held
end

-- Admit a batch of attempts in the order in which they are given.
-- ARGV[1]  offset_us
-- ARGV[2…] holder key of each attempt
-- returns  { answers (one letter per attempt), now_us, gate version or -1, arrival rank before the batch }
local function admit(keys, args)
    local gate, holders = keys[1], keys[2]
    local clock = redis.call('TIME')
    local now_us = clock[1] * 1000000 + clock[2] + args[1]
    local attempts = #args - 1
    local loaded = read(gate)
    if not loaded then
        return { string.rep(NOT_LOADED, attempts), string.format('%.0f', now_us), '-1', '0' }
    end
    local rank = redis.call('HINCRBY', gate, 'rank', attempts) - attempts

    local refusal
    if loaded[3] == 'closed' or now_us >= tonumber(loaded[5]) then
        refusal = CLOSED
    elseif loaded[3] == 'paused' then
        refusal = PAUSED
    elseif loaded[3] ~= 'live' or now_us < tonumber(loaded[4]) then
        refusal = NOT_OPEN
    end

    local seen = redis.call('SMISMEMBER', holders, unpack(args, 2))
    local permits = tonumber(loaded[2])
    local answers, admitted = {}, {}
    for n = 1, attempts do
        if seen[n] == 1 then
            answers[n] = SEEN
        elseif refusal then
            answers[n] = refusal
        elseif permits > #admitted then
            answers[n] = PERMIT
            admitted[#admitted + 1] = args[n + 1]
        else
            answers[n] = NONE_FREE
        end
    end
    if #admitted > 0 then
        redis.call('HINCRBY', gate, 'permits', -#admitted)
        redis.call('SADD', holders, unpack(admitted))
    end
    return { table.concat(answers), string.format('%.0f', now_us), loaded[1], tostring(rank) }
end

-- Take a statement of the ledger.
-- ARGV[1…5]  version, permits, state, opens_us, closes_us
-- ARGV[6]    a version of this gate that the ledger has since denied ('' = none): a gate that still
--            holds it is ahead of the truth (the ledger was restored, or the gate was tampered with)
-- ARGV[7]    milliseconds for which the keys are kept
-- returns    { version, permits } as they stand afterwards
local function take(keys, args)
    local gate, holders = keys[1], keys[2]
    local held = read(gate)
    if not held or held[1] == args[6] or tonumber(held[1]) <= tonumber(args[1]) then
        redis.call('HSET', gate, 'version', args[1], 'permits', args[2], 'state', args[3],
            'opens_us', args[4], 'closes_us', args[5])
        redis.call('PEXPIRE', gate, args[7])
        redis.call('PEXPIRE', holders, args[7])
    end
    return redis.call('HMGET', gate, 'version', 'permits')
end

redis.register_function('fairdrop_admit', admit)
redis.register_function('fairdrop_take', take)

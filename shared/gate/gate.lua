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
local WHOLE_MAX = 2 ^ 53 -- beyond it a Lua number is not exact

local function whole(text)
    if not text or #text > 17 or not string.match(text, '^%-?%d+$') then
        return nil
    end
    local number = tonumber(text)
    return math.abs(number) <= WHOLE_MAX and number or nil
end

-- Return the gate, or nil where it is missing or holds what was not written by us: it is then as
-- good as lost, and the ledger will say how the drop stands.
local function read(gate)
    local found = redis.call(
        'HMGET', gate, 'version', 'permits', 'state', 'opens_us', 'closes_us', 'rank')
    local version, permits, state = whole(found[1]), whole(found[2]), found[3]
    local opens_us, closes_us, rank = whole(found[4]), whole(found[5]), whole(found[6] or '0')
    if not (version and permits and state and opens_us and closes_us and rank) then
        return nil
    end
    return {
        version = version, permits = permits, state = state,
        opens_us = opens_us, closes_us = closes_us, rank = rank,
    }
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

    local refusal
    if loaded.state == 'closed' or now_us >= loaded.closes_us then
        refusal = CLOSED
    elseif loaded.state == 'paused' then
        refusal = PAUSED
    elseif loaded.state ~= 'live' or now_us < loaded.opens_us then
        refusal = NOT_OPEN
    end

    local seen = redis.call('SMISMEMBER', holders, unpack(args, 2))
    local answers, admitted = {}, {}
    for n = 1, attempts do
        if seen[n] == 1 then
            answers[n] = SEEN
        elseif refusal then
            answers[n] = refusal
        elseif loaded.permits > #admitted then
            answers[n] = PERMIT
            admitted[#admitted + 1] = args[n + 1]
        else
            answers[n] = NONE_FREE
        end
    end

    redis.call('HINCRBY', gate, 'rank', attempts)
    if #admitted > 0 then
        redis.call('HINCRBY', gate, 'permits', -#admitted)
        redis.call('SADD', holders, unpack(admitted))
    end
    return {
        table.concat(answers),
        string.format('%.0f', now_us),
        string.format('%.0f', loaded.version),
        string.format('%.0f', loaded.rank),
    }
end

-- Take a statement of the ledger.
-- ARGV[1…5]  version, permits, state, opens_us, closes_us
-- ARGV[6]    a version of this gate that the ledger has since denied ('' = none): a gate that still
--            holds it is ahead of the truth (the ledger was restored, or the gate was tampered with)
-- ARGV[7]    milliseconds for which the keys are kept
-- returns    { version, permits } as they stand afterwards
local function take(keys, args)
    local gate, holders = keys[1], keys[2]
    local loaded = read(gate)
    if not loaded then
        redis.call('DEL', gate)
    end
    if not loaded or loaded.version == tonumber(args[6]) or loaded.version <= tonumber(args[1]) then
        redis.call('HSET', gate, 'version', args[1], 'permits', args[2], 'state', args[3],
            'opens_us', args[4], 'closes_us', args[5])
        redis.call('PEXPIRE', gate, args[7])
        redis.call('PEXPIRE', holders, args[7])
    end
    return redis.call('HMGET', gate, 'version', 'permits')
end

redis.register_function('fairdrop_admit', admit)
redis.register_function('fairdrop_take', take)

-- Writes packed values so that who knows less never overwrites who knows more. KEYS: the keys; ARGV: one packed value a key (packing.py).
-- A value is (snapshot S, as_of T): made from what is visible in S, true at T. S sees another snapshot when all that is visible in that
-- one is visible in S too. The new value n is
--   written   when its epoch is higher; when S(n) sees S(o) and T(n) >= T(o), o being the stored one; when only n has a snapshot; and
--             without one, when its (as_of, created_at) is the greater: Feast's own contract;
--   kept out  silently when o's epoch is higher, when S(o) sees S(n) and T(o) >= T(n), and when the features are the same to the bit;
--   refused   otherwise: neither knows all that both know, so somebody has to compute the value anew.
-- With the same S and T the later created_at wins, and then the later write if it differs: the same knowledge gave another value, so the
-- stored one was wrong. A sealed value (format version 2) goes by (as_of, created_at) and is compared as a whole. What is no value of this
-- format is overwritten: it cannot be read by anybody.
-- Returns how many were written, then position (from 1) and stored as_of of each that was refused.
local read = {} -- text of a snapshot -> what it says; of a call's values most name the same few
local function snapshot(text)
    local known = read[text]
    if known == nil then
        local following, running = string.match(text, '^%d+:(%d+):([%d,]*)$')
        known = following ~= nil and { following = tonumber(following), list = {}, running = {} }
        if known then
            for number in string.gmatch(running, '%d+') do
                known.list[#known.list + 1] = tonumber(number)
                known.running[tonumber(number)] = true
            end
        end
        read[text] = known
    end
    return known
end
local function sees(one, other)
    if one.following < other.following then return false end
    for _, number in ipairs(one.list) do
        if number < other.following and not other.running[number] then return false end
    end
    return true
end
local function knowledge(value, size)
    local text = string.sub(value, size + 1)
    local space = string.find(text, ' ', 1, true)
    if space then text = string.sub(text, 1, space - 1) end
    local slash = string.find(text, '/', 1, true)
    if slash then return string.sub(text, slash + 1), tonumber(string.sub(text, 1, slash - 1)) or 1 end
    return text, 1
end
local result = { 0 }
for i, key in ipairs(KEYS) do
    local new = ARGV[i]
    local old = redis.pcall('GET', key) -- an error table when the key holds another Redis type, false when it holds nothing
    local verdict = 'write'
    local old_as_of
    if type(old) == 'string' and #old >= 28 and string.sub(old, 1, 4) == string.sub(new, 1, 4) then
        local old_created, new_as_of, new_created
        old_as_of, old_created = struct.unpack('>i8i8', old, 5)
        new_as_of, new_created = struct.unpack('>i8i8', new, 5)
        local later = new_as_of - old_as_of
        if later == 0 then later = new_created - old_created end
        if string.byte(new, 2) == 2 then
            if later < 0 or (later == 0 and new == old) then verdict = 'keep' end
        else
            local features = string.byte(new, 3) * 256 + string.byte(new, 4)
            local size = 28 + math.ceil(features / 8) + 8 * features
            local new_text, new_epoch = knowledge(new, size)
            local old_text, old_epoch = knowledge(old, size)
            local alike = new_text == old_text
            local ours, theirs = true, true
            if not alike or new_text == '' then ours, theirs = snapshot(new_text), snapshot(old_text) end
            if not ours then
                local same = string.sub(new, 21, size) == string.sub(old, 21, size)
                if later < 0 or (later == 0 and (theirs or same)) then verdict = 'keep' end
            elseif theirs then
                if new_epoch ~= old_epoch then
                    if new_epoch < old_epoch then verdict = 'keep' end
                elseif alike then
                    local same = string.sub(new, 21, size) == string.sub(old, 21, size)
                    if later < 0 or (later == 0 and same) then verdict = 'keep' end
                elseif new_as_of < old_as_of or not sees(ours, theirs) then
                    if not (old_as_of >= new_as_of and sees(theirs, ours)) then
                        local same = string.sub(new, 29, size) == string.sub(old, 29, size)
                        verdict = same and 'keep' or 'refuse'
                    else
                        verdict = 'keep'
                    end
                end
            end
        end
    end
    if verdict == 'write' then
        redis.call('SET', key, new)
        result[1] = result[1] + 1
    elseif verdict == 'refuse' then
        result[#result + 1] = i
        result[#result + 1] = old_as_of
    end
end
return result
